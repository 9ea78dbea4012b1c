"""Many sources, one engine: which waiting images run together, and when."""
