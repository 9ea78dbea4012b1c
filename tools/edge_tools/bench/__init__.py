"""`edge-bench`: engines measured against each other, each case in a process of its own, inside real limits."""
