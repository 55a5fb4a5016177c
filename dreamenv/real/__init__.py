"""Real environments: how they are made, checked, drawn and run in processes."""
