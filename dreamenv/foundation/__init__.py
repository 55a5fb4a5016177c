"""Errors, ranges, seeds, files and progress bars, which all other rooms use."""
