"""The batching policy in simulated time against fixed settings and the rules of others."""
