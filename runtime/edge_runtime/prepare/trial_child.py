"""The first contact: `python -m edge_runtime.prepare.trial_child REQUEST` opens a bundle's graph and runs it once.

In a process of its own that is confined (prepare/confine/): a graph that makes onnxruntime crash, wait for ever or
take all memory does it here.
"""

from __future__ import annotations

import json
import sys

from edge_devices.profile import ProviderChoice
from edge_runtime.bundle.bundle import Bundle, read_bundle
from edge_runtime.errors import BundleError, EdgelineError, MemoryLimitError
from edge_runtime.files.schema import from_json
from edge_runtime.files.shortage import says_shortage
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.runner import Arrays
from edge_runtime.ort.session import SessionOptions, SessionRunner
from edge_runtime.prepare.chain import golden_feeds, noise_feeds
from edge_runtime.prepare.confine.confine import Bounds, confine
from edge_runtime.prepare.confine.limits import limit_seconds
from edge_runtime.prepare.request import TrialRequest, say, say_error, short_of_memory

__all__ = ["main"]

_NOISE = 1 << 20  # bytes of what libraries write to stderr, which is a file


def main() -> None:
    """Do what the request says; errors of ours go to the waiting process as a line."""
    request = from_json(TrialRequest, json.loads(sys.argv[1]))
    try:
        bundle = read_bundle(request.bundle, check_hashes=False)  # who asks has checked them
        import_onnxruntime()
        say(missing=confine(Bounds(request.memory_bytes, _NOISE, (bundle.path,), ())))
        limit_seconds(request.seconds)
        runner = SessionRunner(
            bundle.file("model.onnx"), SessionOptions(threads=request.threads), provider=ProviderChoice(CPU)
        )
        runner.run(_feeds(bundle))
        say(result=0)
    except EdgelineError as error:
        short = says_shortage(str(error)) and not isinstance(error, MemoryLimitError)
        say_error(short_of_memory(str(error), request.memory_bytes) if short else error)


def _feeds(bundle: Bundle) -> Arrays:
    try:
        return golden_feeds(bundle)
    except BundleError:  # a start needs no golden samples; whoever reads them says what they are
        return noise_feeds(bundle)


if __name__ == "__main__":
    main()
