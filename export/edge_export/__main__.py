"""`edge-export`, or `python -m edge_export`: the command, where what it is made of is installed."""

from edge_runtime.cli.console import leave_without, run_command

PROGRAM = "edge-export"


def main() -> None:
    """Run `edge-export`."""
    leave_without("export", PROGRAM)
    from edge_export.cli.command import edge_export_command

    run_command(edge_export_command, PROGRAM)


if __name__ == "__main__":
    main()
