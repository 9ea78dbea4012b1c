"""Hours of attacks: python tests/fuzz/run.py bundles|exports|rot --seconds 3600 [--seed 0].

Each failure is told by its seed, what was done and the traceback; the exit code is 1 where there was one. Ends by
`ulimit`s of the caller where native code is to be bounded.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

for part in ("devices", "runtime", "export", "tools", "tests"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / part))

from fuzz_targets import TARGETS  # noqa: E402 -- found by the lines above


def main() -> int:
    """Attack until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    seed, failed = asked.seed, set()
    ends_in: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        tried = TARGETS[asked.target](Path(folder))
        ends = time.monotonic() + asked.seconds
        while time.monotonic() < ends:
            try:
                ends_in[str(tried(seed) or "one line or an answer")] += 1
            except Exception as error:  # noqa: BLE001 -- any that is not ours is what is looked for
                last = traceback.extract_tb(error.__traceback__)[-1]
                kind = (type(error), last.filename, last.lineno)
                if kind not in failed:
                    failed.add(kind)
                    sys.stderr.write(f"seed {seed}:\n{''.join(traceback.format_exception(error))}\n")
            seed += 1
    sys.stderr.write(f"{seed - asked.seed} attacks, {dict(ends_in)}, {len(failed)} kinds of failures\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
