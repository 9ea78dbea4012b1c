"""What is known of a model: where it comes from, its facts, flags and metadata."""
