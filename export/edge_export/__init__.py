"""The workstation half: a trained model goes in, a verified bundle comes out (the `edge-export` command)."""

__version__ = "0.1.0"

__all__ = ["__version__"]
