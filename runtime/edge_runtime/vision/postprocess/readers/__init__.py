"""Every layout of detector outputs read into one kind of candidates: a file per kind, a row in table.py for each."""
