"""Fewer threads while other work holds the cores: what is seen, what is decided, how threads are put to rest."""
