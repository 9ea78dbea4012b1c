"""Dropping the page cache, so that a cold start is cold and memory that files take is charged to who reads them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["PageCache"]

_DROP = Path("/proc/sys/vm/drop_caches")
_MADV_PAGEOUT = 21  # asm-generic/mman-common.h, since Linux 5.4


class PageCache:
    """Drops the whole page cache as root, else what it holds of the given files and folders; or leaves it alone."""

    def __init__(self, paths: Iterable[Path], drop: bool = True, switch: Path = _DROP) -> None:
        self._paths = tuple(paths)
        self._switch = switch
        self._whole = drop and os.access(switch, os.W_OK)
        self._files = drop and not self._whole and hasattr(os, "posix_fadvise")

    @property
    def how(self) -> str:
        """Return in words what `drop` does."""
        if self._whole:
            return "dropped before each cold start (drop_caches)"
        if self._files:
            return "bundle and prepared files dropped before each cold start (posix_fadvise); libraries stay cached"
        return "left as it was"

    def drop(self) -> None:
        """Drop it now. What was written but not yet stored could not be dropped, so it is stored first."""
        if self._whole:
            _page_out_libraries()
            os.sync()
            self._switch.write_text("3\n")
        elif self._files:
            for path in self._paths:
                for file in [path] if path.is_file() else sorted(path.rglob("*")):
                    if file.is_file():
                        _forget(file)


def _forget(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _page_out_libraries() -> None:
    """Take this process's libraries out of memory, harmlessly: what it needs of them comes back from their files.

    The kernel drops no page that a process has mapped, so the cold start of an engine that shares numpy, OpenCV or
    onnxruntime with this process would be half warm. An older kernel refuses, and then it is.
    """
    libc = ctypes.CDLL(None)
    for line in Path("/proc/self/maps").read_text().splitlines():
        words = line.split(maxsplit=5)
        if len(words) == 6 and ".so" in words[5]:
            start, end = (int(address, 16) for address in words[0].split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_PAGEOUT)
