"""Scores of agents: in the dream and in reality, compared, chosen, as tables, plots and films."""
