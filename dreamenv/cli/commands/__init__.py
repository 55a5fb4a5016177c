"""One module per command, named like it: settings at the top; ``run`` imports the rest, so that --help is fast."""
