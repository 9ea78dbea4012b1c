"""The planning process: `python -m edge_runtime.prepare.plan_child REQUEST`, one line of JSON.

A process of its own, so that the memory that planning takes, and does not give back, is not that of the process whose
memory is planned.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edge_runtime.blocks.measured import Measured
from edge_runtime.blocks.prepared import read_json, write_json
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import EdgelineError, EngineError
from edge_runtime.files.schema import from_json
from edge_runtime.plan.planner import plan
from edge_runtime.plan.validate import validate
from edge_runtime.prepare.request import PlanRequest, say, say_error

__all__ = ["main"]


def main() -> None:
    """Plan, have the plan checked by what did not make it, and write it."""
    request = from_json(PlanRequest, json.loads(sys.argv[1]))
    try:
        measured = read_json(Measured, Path(request.measured))
        if measured is None:
            raise EngineError(f"{request.measured} cannot be read; remove its folder and start again")
        manifest = read_bundle(request.bundle, check_hashes=False).manifest  # who asks has checked them
        made = plan(manifest, measured.measurements, measured.speeds, request.limit)
        validate(made, measured.measurements)
        write_json(made, Path(request.target))
        say(result=0)
    except EdgelineError as error:
        say_error(error)


if __name__ == "__main__":
    main()
