"""What `tools/arm` runs on an emulated ARM board and on this machine (see tools/arm/README.md)."""
