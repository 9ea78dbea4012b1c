"""Running a plan: the arena, the loader, the blocks that take turns in it."""
