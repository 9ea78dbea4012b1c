"""`edge-export`, or `python -m edge_export`: the command, where what it is made of is installed."""

import os

from edge_runtime.cli.begin import stand, start
from edge_runtime.cli.console import leave_without


def main() -> None:
    """Run `edge-export`."""
    stand()
    # As on a device (import_onnxruntime): nothing is told to anybody about the models that are exported here.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    leave_without("export", "edge-export")
    start("edge_export.cli.command")


if __name__ == "__main__":
    main()
