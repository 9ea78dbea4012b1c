"""How a command begins, before anything heavy is imported: descriptors that are there, text that can be written.

The console scripts point here: an import that fails for lack of memory is then told as that. The process that reads
videos and streams begins here too: it imports what it needs while this one does.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from typing import TextIO, cast

from edge_runtime.files.shortage import memory_is_limited, shortage
from edge_runtime.files.visible import VisibleStream
from edge_runtime.inspect.suffixes import looks_like_pictures

__all__ = ["edge_run", "edge_sign", "edge_station", "edge_tune", "plain_stream", "read_ahead", "stand", "start"]

# What a terminal without them shows for the signs that we write; anything else comes as \xe9, \u2603.
_PLAIN = {
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LEFTWARDS ARROW}": "<-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{DEGREE SIGN}": " degrees ",
    "\N{MICRO SIGN}": "u",
    "\N{BULLET}": "*",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}
_NEAREST = "edgeline-nearest"


def edge_run() -> None:
    """Run `edge-run`."""
    start("edge_runtime.cli.run", lambda: read_ahead(sys.argv[1:]))


def edge_sign() -> None:
    """Run `edge-sign`."""
    start("edge_runtime.cli.sign")


def edge_station() -> None:
    """Run `edge-station`."""
    start("edge_runtime.cli.station")


def edge_tune() -> None:
    """Run `edge-tune`."""
    start("edge_runtime.cli.tune")


def read_ahead(words: Sequence[str]) -> None:
    """Begin the reader's process where something to look at is not plainly pictures."""
    values = [word.partition("=")[2] for word in words if word.startswith("--source=")]
    values += [value for flag, value in itertools.pairwise(words) if flag == "--source"]
    if not all(looks_like_pictures(value) for value in values):
        from edge_runtime.inspect.reader.life import begin_ahead

        begin_ahead()


def start(module: str, first: Callable[[], None] = lambda: None) -> None:
    """Import a command's module and call its `main`; what a lack of memory stops there is one line and its code.

    `first` is called before that.
    """
    stand()
    if memory_is_limited():
        # OpenBLAS, in numpy and in OpenCV, takes address space for every core, and crashes where there is none.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        first()
        command = importlib.import_module(module)
    except (ImportError, MemoryError, OSError, RuntimeError, SystemError, AttributeError) as error:
        short = shortage(error)
        if short is None:
            raise
        with contextlib.suppress(OSError):
            sys.stderr.write(f"error: {short}\n")
        sys.exit(short.exit_code)
    command.main()


def stand() -> None:
    """Make standard input, output and error such that anything can be written to them; a second call does nothing.

    One that was closed is /dev/null: the next file to be opened would otherwise get its number, and what is printed
    would be written over that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            _open_nowhere(number)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- the process's own
    sys.stdout = plain_stream(sys.stdout or open(1, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    sys.stderr = plain_stream(sys.stderr or open(2, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def plain_stream(stream: TextIO) -> TextIO:
    """Return the stream such that it writes what its encoding lacks as the nearest that it has, and never fails for it.

    What would change what a terminal shows elsewhere is written out (files/visible.py).
    """
    codecs.register_error(_NEAREST, _nearest)
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None and getattr(stream, "errors", _NEAREST) != _NEAREST:
        reconfigure(errors=_NEAREST)
    return stream if isinstance(stream, VisibleStream) else cast(TextIO, VisibleStream(stream))


def _open_nowhere(number: int) -> None:
    with contextlib.suppress(OSError):
        found = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
        if found != number:
            os.dup2(found, number)
            os.close(found)
        os.set_inheritable(number, True)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wanted = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in wanted), error.end
