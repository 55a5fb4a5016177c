"""dreamenv turns a trained world model into a Gymnasium environment."""
