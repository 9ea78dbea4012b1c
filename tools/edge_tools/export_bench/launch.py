"""Runs one command under a time and a memory limit and says what it took: `launch.py SECONDS BYTES COMMAND...`.

A process of its own and the standard library only, for an honest peak: Linux counts into a child's ru_maxrss what the
process held that started it, and this one holds next to nothing. Prints one line of JSON; the command's own output
goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time


def main() -> None:
    """Run the command."""
    seconds, most, command = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if most:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    late: list[bool] = []
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)

    def end(signum: int, _frame: object) -> None:
        late.append(signum == signal.SIGALRM)
        os.killpg(process.pid, signal.SIGKILL)

    for signum in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    _, status, usage = os.wait4(process.pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    took = {
        "status": os.waitstatus_to_exitcode(status),
        "late": any(late),
        "seconds": time.monotonic() - started,
        "peak_bytes": usage.ru_maxrss * 1024,
    }
    sys.stdout.write(json.dumps(took) + "\n")


if __name__ == "__main__":
    main()
