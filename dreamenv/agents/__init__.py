"""Agents: the linear controller, Stable-Baselines3's algorithms, and their files."""
