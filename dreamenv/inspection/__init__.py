"""One page with every diagnostic of a world: V, M, heads and agents."""
