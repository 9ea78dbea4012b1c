"""`edge-bench`, or `python -m edge_tools.bench`: the command, begun as every command is."""

from edge_runtime.cli.begin import start


def main() -> None:
    """Run `edge-bench`."""
    start("edge_tools.bench.cli")


if __name__ == "__main__":
    main()
