"""A station on a line: what one file describes, run for months."""
