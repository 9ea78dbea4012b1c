"""Files that survive a power cut, strict JSON, and sizes as people write them."""
