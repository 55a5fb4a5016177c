"""Studies of dreams, agents and world models: settings times seeds, rows that are made once, a table, a picture."""
