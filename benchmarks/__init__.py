"""Measurements and experiments: `python -m benchmarks.FOLDER.NAME`, see README.md beside this file."""
