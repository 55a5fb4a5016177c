"""What everything else stands on: errors, ranges, seeds, files, progress."""
