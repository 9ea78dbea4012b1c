"""Triggers: when a part is there, and which frames show it."""
