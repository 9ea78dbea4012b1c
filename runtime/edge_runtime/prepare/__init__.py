"""Preparing a bundle for this machine: once, in a process of its own, kept in the cache."""

from edge_runtime.prepare.make import find_measured, prepare, prepare_in
from edge_runtime.prepare.request import ProgressCall

__all__ = ["ProgressCall", "find_measured", "prepare", "prepare_in"]
