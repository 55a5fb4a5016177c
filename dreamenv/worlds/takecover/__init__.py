"""DoomTakeCover: the game, settings for a world of it, and policies that see nothing."""
