"""A corridor of MiniGrid in which only memory of the start tells which side is right."""
