"""The recurrent state-space model of PlaNet and Dreamer."""
