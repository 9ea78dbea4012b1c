"""Samples from an .npz file, one at a time: arrays are streamed out of the zip, never loaded whole."""

from __future__ import annotations

import contextlib
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.errors import DataError

__all__ = ["ArrayMember", "open_members", "read_samples"]

_SKIP = 1 << 20


@dataclass(frozen=True)
class ArrayMember:
    """One array of the file as samples: `count` samples of `shape`, ready to be fed as they are."""

    key: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    count: int

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample."""
        return math.prod(self.shape) * self.dtype.itemsize


def open_members(path: Path, inputs: Sequence[TensorSpec]) -> tuple[ArrayMember, ...]:
    """Check the headers of an .npz against the model's inputs; read no data.

    An array for an input of shape [N, ...] is either samples one after another along that axis, or has one
    more axis in front: [samples, N, ...]. Raises DataError naming the array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            present = {name.removesuffix(".npy") for name in archive.namelist()}
            if missing := [spec.name for spec in inputs if spec.name not in present]:
                raise DataError(
                    f"{path} has no array for input {missing[0]!r}, it has "
                    f"{', '.join(sorted(present)) or 'none'}; "
                    f"save it with numpy.savez under the inputs' names "
                    f"({', '.join(spec.name for spec in inputs)})"
                )
            members = []
            for spec in inputs:
                with archive.open(spec.name + ".npy") as stream:
                    shape, dtype = _header(stream, path, spec.name)
                member = _as_samples(spec, shape, dtype, path)
                if archive.getinfo(spec.name + ".npy").file_size < member.sample_bytes * member.count:
                    raise DataError(f"{path}: array {spec.name!r} is shorter than its header says; save the file again")
                members.append(member)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read {path} as an .npz file ({error}); save it with numpy.savez") from error
    if len({member.count for member in members}) != 1:
        counts = ", ".join(f"{member.key}: {member.count}" for member in members)
        raise DataError(f"{path}: the arrays hold different numbers of samples ({counts}); give each input as many")
    if members[0].count == 0:
        raise DataError(f"{path} holds no samples; expected at least one along the first axis")
    return tuple(members)


def read_samples(
    path: Path, members: Sequence[ArrayMember], chosen: Sequence[int]
) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Yield the samples at the ascending indices `chosen`, by input name, holding one at a time."""
    try:
        with contextlib.ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(path))
            streams = [stack.enter_context(archive.open(member.key + ".npy")) for member in members]
            for member, stream in zip(members, streams, strict=True):
                _header(stream, path, member.key)
            previous = -1
            for index in chosen:
                sample = {}
                for member, stream in zip(members, streams, strict=True):
                    _skip(stream, (index - previous - 1) * member.sample_bytes)
                    data = stream.read(member.sample_bytes)
                    if len(data) != member.sample_bytes:
                        raise DataError(f"{path}: array {member.key!r} ends early; save the file again")
                    # A copy: frombuffer's array is read-only, and callers may hand it to code that writes.
                    sample[member.key] = np.frombuffer(data, dtype=member.dtype).reshape(member.shape).copy()
                previous = index
                yield sample
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}; save the file again") from error


def _skip(stream: IO[bytes], count: int) -> None:
    while count > 0:
        step = len(stream.read(min(count, _SKIP)))
        if step == 0:
            return
        count -= step


def _header(stream: IO[bytes], path: Path, key: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, fortran, dtype = readers[np.lib.format.read_magic(stream)](stream)
    except (ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path}: array {key!r} has no readable header ({error}); save it with numpy.savez") from error
    if dtype.hasobject:
        raise DataError(f"{path}: array {key!r} holds Python objects, which are never loaded; save plain numbers")
    if fortran and len(shape) > 1:
        raise DataError(f"{path}: array {key!r} is in Fortran order; save numpy.ascontiguousarray of it")
    return shape, dtype


def _as_samples(spec: TensorSpec, shape: tuple[int, ...], dtype: np.dtype[np.generic], path: Path) -> ArrayMember:
    expected = f"{spec.dtype} {_text(spec.shape)}"
    if dtype != np.dtype(spec.dtype):
        raise DataError(f"{path}: input {spec.name!r} takes {expected}, found {dtype} {list(shape)}; use astype first")
    if len(shape) == len(spec.shape) + 1 and _fits(shape[1:], spec.shape):
        return ArrayMember(spec.name, dtype, shape[1:], shape[0])
    if len(shape) == len(spec.shape) >= 1 and _fits(shape[1:], spec.shape[1:]):
        batch = spec.batch or 1
        if shape[0] % batch == 0:
            return ArrayMember(spec.name, dtype, (batch, *shape[1:]), shape[0] // batch)
    raise DataError(
        f"{path}: input {spec.name!r} takes {expected}, found {dtype} {list(shape)}; expected samples along "
        f"the first "
        f"axis, or one axis more in front"
    )


def _fits(shape: tuple[int, ...], spec: Sequence[int | str]) -> bool:
    return len(shape) == len(spec) and all(
        size == wanted if isinstance(wanted, int) else size > 0 for size, wanted in zip(shape, spec, strict=True)
    )


def _text(shape: Sequence[int | str]) -> str:
    return "[" + ", ".join(str(size) for size in shape) + "]"
