"""How long nodes take on a machine, as integers and as floats: measured once for each shape, kept in a table."""
