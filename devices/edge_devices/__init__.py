"""What board this is and what it can do (standard library only)."""
