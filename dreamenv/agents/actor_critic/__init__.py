"""The actor-critic of Dreamer V1 and V2: it learns from short imagined episodes, in any world."""
