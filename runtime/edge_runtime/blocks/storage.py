"""Reading a block's weights from storage into memory that is there already."""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.blocks.prepared import Rest, StoredWeights
from edge_runtime.errors import DependencyError, EngineError
from edge_runtime.files.atomic import crc32_file

__all__ = ["FileStorage", "Storage", "import_zstandard", "room"]

# O_DIRECT wants addresses, offsets and lengths in units of the device's block; 4096 suits every one.
_UNIT = 4096
_ADVICE = "check the storage, or remove the cache folder and prepare again"


class Storage(Protocol):
    """Where weights come from. Fakes of it stand for broken cards in tests."""

    def read(self, weights: StoredWeights, into: NDArray[np.uint8]) -> None:
        """Fill the first `weights.size` bytes of `into`, which has `room(weights.size)`. Raises EngineError."""
        ...

    def unpack(self, weights: StoredWeights, into: NDArray[np.uint8]) -> None:
        """The same out of the compressed file."""
        ...

    def check(self, weights: StoredWeights) -> None:
        """Look at a file that somebody else will read. Raises EngineError for one that is damaged."""
        ...

    def check_rest(self, rest: Rest) -> None:
        """Look at the part of a file that somebody else will read. Raises EngineError for one that is damaged."""
        ...


def room(size: int) -> int:
    """Return the bytes a buffer needs for weights of `size`: whole units."""
    return -(-size // _UNIT) * _UNIT


class FileStorage:
    """Weights in files of one folder. Each file's CRC-32 is checked when it is read for the first time.

    `direct`: past the page cache, for weights that would not stay in it. A page cache that is full of what is needed
    last (the access order is a cycle) never hits, costs the kernel time, and in a memory cgroup is charged to us.
    """

    def __init__(self, folder: Path, direct: bool = False) -> None:
        self._folder, self._direct = folder, direct
        self._checked: set[str] = set()

    def read(self, weights: StoredWeights, into: NDArray[np.uint8]) -> None:
        """Read one file. Raises EngineError for a file that cannot be read, is too short, or is damaged."""
        self._read_file(self._folder / weights.file, into, weights.size)
        self._check(weights.file, weights, into)

    def unpack(self, weights: StoredWeights, into: NDArray[np.uint8]) -> None:
        """Read one compressed file. Raises EngineError as `read` does, DependencyError without zstandard."""
        self._unpack_file(self._folder / weights.packed, into, weights.size)
        self._check(weights.packed, weights, into)

    def check(self, weights: StoredWeights) -> None:
        """Check one file's CRC-32, if that was not done before. Raises EngineError."""
        self._check_part(weights.file, weights.file, 0, None, weights.crc32)

    def check_rest(self, rest: Rest) -> None:
        """Check the CRC-32 of one part of a file, if that was not done before. Raises EngineError."""
        self._check_part(f"{rest.file} behind {rest.offset}", rest.file, rest.offset, rest.size, rest.crc32)

    def _check_part(self, key: str, file: str, offset: int, size: int | None, crc32: int) -> None:
        if key in self._checked:
            return
        path = self._folder / file
        try:
            found = crc32_file(path, offset, size)
        except OSError as error:
            raise EngineError(f"cannot read {path}: {error.strerror}; {_ADVICE}") from error
        if found != crc32:
            raise EngineError(f"{path} is damaged (CRC-32); {_ADVICE}")
        self._checked.add(key)

    def _check(self, file: str, weights: StoredWeights, into: NDArray[np.uint8]) -> None:
        if file not in self._checked:
            if zlib.crc32(into[: weights.size].data) != weights.crc32:
                raise EngineError(f"{self._folder / file} is damaged (CRC-32); {_ADVICE}")
            self._checked.add(file)

    def _read_file(self, path: Path, into: NDArray[np.uint8], size: int) -> None:
        try:
            with self._opened(path) as descriptor:
                done = 0
                # A direct read ends at the file's end by itself; it has to ask for whole units, and gives whole ones
                # until then.
                stop, unit = (room(size), _UNIT) if self._direct else (size, 1)
                while done < size:
                    count = os.preadv(descriptor, [into[done:stop].data], done)
                    if count <= 0 or (count % unit and done + count < size):
                        done += max(count, 0)
                        raise EngineError(f"{path} ends after {done} bytes of {size}; {_ADVICE}")
                    done += count
        except OSError as error:
            if not (self._direct and error.errno == errno.EINVAL):
                raise EngineError(f"cannot read {path}: {error.strerror}; {_ADVICE}") from error
            self._direct = False  # a file system that opens for direct reads and then does none
            self._read_file(path, into, size)

    @contextlib.contextmanager
    def _opened(self, path: Path) -> Any:
        descriptor = -1
        if self._direct and hasattr(os, "O_DIRECT"):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                    raise
                self._direct = False  # a file system without direct reads (tmpfs)
        if descriptor < 0:
            descriptor = os.open(path, os.O_RDONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _unpack_file(self, path: Path, into: NDArray[np.uint8], size: int) -> None:
        zstandard = import_zstandard()
        try:
            with path.open("rb", buffering=0) as stream:
                reader = zstandard.ZstdDecompressor().stream_reader(stream, read_size=1 << 20)
                done = 0
                while done < size and (count := reader.readinto(into[done:size].data)):
                    done += count
                longer = done == size and bool(reader.read(1))  # at the frame's end its own checksum is compared
                if self._direct and hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # as if it had been read directly
        except (OSError, zstandard.ZstdError) as error:
            raise EngineError(f"cannot read {path}: {error}; {_ADVICE}") from error
        if done != size:
            raise EngineError(f"{path} unpacks to {done} bytes of {size}; {_ADVICE}")
        if longer:
            raise EngineError(f"{path} unpacks to more than {size} bytes; {_ADVICE}")


def import_zstandard() -> Any:
    """Import zstandard. Raises DependencyError with the install line where there is none."""
    try:
        import zstandard
    except ImportError as error:
        raise DependencyError(
            f"zstandard is not installed: pip install 'edgeline[zstd]', or prepare again without it ({error})"
        ) from error
    return zstandard
