"""Models as their own exporters write them: what the bundle answers against what the family's own code answers."""
