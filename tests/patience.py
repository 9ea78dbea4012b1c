"""How long a test waits for what must happen: no test depends on time, and only one that fails waits that long."""

PATIENCE = 300.0  # seconds; a busy machine needs some of them
