"""One report on a world: measurements, figures, chapters, tables."""
