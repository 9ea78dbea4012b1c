"""Rot: one bit of a bundle, or of what was prepared of it, is another one; size, time and identity are as they were."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_devices.process_memory import memory
from edge_runtime import open_bundle
from edge_runtime.errors import EdgelineError
from edge_runtime.ort.session import SessionOptions
from edge_runtime.results import Result

__all__ = ["Rot"]

_SESSION = SessionOptions("cpu", 1)
_ROOM = 400_000_000  # bytes of a limit beside what this process is: a worker of tests is a large one
_NEAR = 1e-3  # of a confidence: another kernel rounds otherwise


class Rot:
    """A bundle that was prepared, in `folder`, and what it answers. `flipped(seed)` says what a flipped bit led to."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        self._cache, self._pristine = folder / "cache", folder / "pristine"
        self._bundle = Path(shutil.copytree(bundle, folder / "rotten.edge"))
        self._image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
        limit = memory().resident + _ROOM
        self._ways: tuple[Callable[[], Result], ...] = (
            lambda: self._answer(),
            lambda: self._answer(memory_limit=limit),
            lambda: self._answer(use_cache=False),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(self._cache))
            self._answer(prepare=True)
            self._expected = [way() for way in self._ways]
        shutil.copytree(self._cache, self._pristine)

    def flipped(self, seed: int) -> str:
        """Flip one bit, answer in one of the ways, and put it back. Returns "found", or "unchanged" answers.

        Raises AssertionError for others, and whatever is no error of ours.
        """
        rng = random.Random(seed)
        shutil.rmtree(self._cache)
        shutil.copytree(self._pristine, self._cache)
        path, place, bit = self._place(rng)
        way = rng.randrange(len(self._ways))
        _flip(path, place, bit)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("XDG_CACHE_HOME", str(self._cache))
                found = self._ways[way]()
        except EdgelineError:
            return "found"
        finally:
            if path.is_relative_to(self._bundle):
                _flip(path, place, bit)
        where = f"bit {bit} of byte {place} of {path}, opened in way {way}"
        expected = self._expected[way]
        assert found.verdict == expected.verdict, f"{where}: {found.verdict} instead of {expected.verdict}"
        assert _shape(found) == _shape(expected), where
        assert np.allclose(_numbers(found), _numbers(expected), atol=_NEAR), where
        return "unchanged"

    def _answer(self, **how: object) -> Result:
        with open_bundle(self._bundle, session=_SESSION, **how) as engine:  # type: ignore[arg-type]
            return engine.run([self._image])[0]

    def _place(self, rng: random.Random) -> tuple[Path, int, int]:
        """Any bit: a file as likely as it is long, every tenth time any file."""
        files = [path for root in (self._bundle, self._cache) for path in sorted(root.rglob("*")) if path.is_file()]
        files = [path for path in files if path.stat().st_size]
        sizes = [path.stat().st_size for path in files]
        path = rng.choice(files) if rng.random() < 0.1 else rng.choices(files, sizes)[0]
        return path, rng.randrange(path.stat().st_size), rng.randrange(8)


def _flip(path: Path, place: int, bit: int) -> None:
    before = path.stat()
    with path.open("r+b") as stream:
        stream.seek(place)
        (byte,) = stream.read(1)
        stream.seek(place)
        stream.write(bytes([byte ^ 1 << bit]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _shape(result: Result) -> list[str]:
    return [one.name for one in result.predictions]


def _numbers(result: Result) -> list[float]:
    return [one.confidence for one in result.predictions]
