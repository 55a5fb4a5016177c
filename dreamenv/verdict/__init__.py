"""Whether a dream can be believed."""
