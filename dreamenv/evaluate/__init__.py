"""Evaluation: reports on a world, comparison of agents, tables, plots and films."""
