"""The process that measures providers: `python -m edge_runtime.prepare.providers_child REQUEST`, lines of JSON.

A process of its own: a provider's library that crashes, or holds the interpreter while it compiles for minutes, does
neither to the process that waits.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from edge_devices.profile import ProviderChoice
from edge_runtime.blocks.prepared import write_json
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import EdgelineError
from edge_runtime.files.schema import from_json
from edge_runtime.ort.process import own_process
from edge_runtime.ort.session import SessionOptions
from edge_runtime.prepare.measure_providers import ProviderMeasuring
from edge_runtime.prepare.request import ProvidersRequest, say, say_error

__all__ = ["main"]


def main() -> None:
    """Measure what the request says and write it."""
    request = from_json(ProvidersRequest, json.loads(sys.argv[1]))
    try:
        own_process()
        bundle = read_bundle(request.bundle, check_hashes=False)  # who asks has checked them
        choices = [ProviderChoice(wanted.name, wanted.options) for wanted in request.providers]
        options = SessionOptions(threads=request.threads, lanes=request.lanes, spinning=request.spinning)
        done = 0

        def step(what: str) -> None:
            nonlocal done
            say(step=what, done=done, total=measuring.steps)
            done += 1

        measuring = ProviderMeasuring(bundle, choices, options, request.batch, request.insisted, step)
        write_json(measuring.run(), Path(request.target))
        say(result=0)
    except EdgelineError as error:
        say_error(error)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
