"""Tasks of the DeepMind Control suite from pixels, as PlaNet and Dreamer have them."""
