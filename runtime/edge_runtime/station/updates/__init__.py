"""Updates of bundles that survive a power cut: staged, tried, switched to in one step, and gone back from."""
