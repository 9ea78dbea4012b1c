"""Which nodes compute in integers: the fastest mix that keeps the answers, found by minimum cuts."""
