"""Preparing a bundle for this machine: once, in a process of its own, kept in the cache.

`make.prepare` begins it. Nothing is imported here: a start from the cache loads cache.py and key.py alone.
"""
