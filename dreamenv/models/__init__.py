"""Models: V, M and its heads."""
