"""The edge-export command: its options, its progress, its report."""
