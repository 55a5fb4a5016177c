"""World models laid out for processors, and large batches in blocks."""
