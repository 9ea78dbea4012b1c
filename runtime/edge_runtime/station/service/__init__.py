"""A station as a service of the machine: its unit, what systemd is told, and what makes it be started anew."""
