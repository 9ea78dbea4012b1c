"""Power cuts: what a station writes is recorded; what a disk may be left with is made of it, and started."""
