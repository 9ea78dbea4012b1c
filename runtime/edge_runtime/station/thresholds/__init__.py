"""Thresholds proposed from labelled pictures by what an escape and an overkill cost, and what is proved of both."""
