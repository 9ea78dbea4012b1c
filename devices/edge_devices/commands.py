"""Commands that tell what no file does (vcgencmd, nvpmodel). They are asked only of the machine that this runs on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence

__all__ = ["Runner", "ask", "ask_nobody"]

# Takes a command's words, returns what it wrote, "" for a command that is not there, fails or hangs.
Runner = Callable[[Sequence[str]], str]
_SECONDS = 2.0
_MOST = 64 << 10
_ELSEWHERE = ("/usr/sbin", "/sbin", "/opt/vc/bin")  # not in the PATH of every service


def ask(words: Sequence[str]) -> str:
    """Run a command with nothing to read and little time; never raises."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_ELSEWHERE])
    program = shutil.which(words[0], path=path)
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout[:_MOST].decode("utf-8", "replace") if done.returncode == 0 else ""


def ask_nobody(words: Sequence[str]) -> str:
    """Stand in for `ask` where there is nobody to ask: a recorded tree."""
    del words
    return ""
