"""Who is told of verdicts: each output has a queue of its own in the store, and tells each event once and in order."""
