"""The clock and the disk of one process, as shim.c has them: its wall clock is set, its disk is read-only, or not."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from edge_runtime.errors import UsageError

__all__ = ["Shim"]

_STATE = struct.Struct("<qq")  # `struct trouble` of shim.c


class Shim:
    """`environment` is what a process needs to be under it; what is set holds at once for all that are."""

    def __init__(self, folder: Path, root: Path) -> None:
        """Compile it into a folder; the disk is what lies below `root`. Raises UsageError where there is no gcc."""
        if shutil.which("gcc") is None:
            raise UsageError("clock and disk are changed by a C shim: install gcc and the C library's headers")
        made, self._state = folder / "shim.so", folder / "trouble"
        source = Path(__file__).with_name("shim.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", str(source), "-o", str(made), "-ldl"], check=True)
        self._ahead = self._read_only = 0
        self._state.write_bytes(_STATE.pack(0, 0))
        self.environment = {
            "LD_PRELOAD": str(made),
            "TROUBLE": str(self._state),
            "TROUBLE_ROOT": str(root.resolve()),
        }

    def set_clock(self, ahead: int) -> None:
        """Let the wall clock be so many seconds ahead of the real one (below 0: behind it)."""
        self._ahead = ahead
        self._write()

    def set_read_only(self, read_only: bool) -> None:
        """Let the disk be read-only, or not."""
        self._read_only = int(read_only)
        self._write()

    def _write(self) -> None:
        with self._state.open("r+b") as file:  # in place: it is mapped
            file.write(_STATE.pack(self._ahead, self._read_only))
