"""Training V and M: one loop for both."""
