"""Execution providers: which are wanted, which really load, and which part of a model goes where (PROVIDERS.md)."""
