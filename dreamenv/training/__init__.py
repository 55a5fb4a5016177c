"""Training of world models: one loop for all losses."""
