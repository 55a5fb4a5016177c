"""Rounds: try the dream's agent in reality, learn from what it meets there, dream again."""
