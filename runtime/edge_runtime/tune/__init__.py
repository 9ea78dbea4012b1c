"""Tuned profiles: what edge-tune measured of a bundle on this machine, and where edge-run finds it."""
