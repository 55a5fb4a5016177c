"""V and M of World Models."""
