"""`edge-export`, or `python -m edge_export`: the command, where what it is made of is installed."""

from edge_runtime.cli.begin import stand, start
from edge_runtime.cli.console import leave_without


def main() -> None:
    """Run `edge-export`."""
    stand()
    leave_without("export", "edge-export")
    start("edge_export.cli.command")


if __name__ == "__main__":
    main()
