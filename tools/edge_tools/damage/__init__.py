"""Damaged pictures, films and cameras in front of the real edge-run: what was not truly seen must never be OK."""
