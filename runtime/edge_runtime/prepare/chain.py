"""The blocks run one after another on a golden input: what every form of them is checked against.

The bundle's portable blocks as they are, or those that were cut from the whole lowered graph as ordinary sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.blocks.prepared import PreparedBlock
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.manifest import Block
from edge_runtime.errors import EdgelineError, EngineError
from edge_runtime.ort.block_session import packed_session
from edge_runtime.ort.process import block_options, import_onnxruntime, load_session, one_line
from edge_runtime.plan.measurements import ValueMeasurement
from edge_runtime.verify.golden import load_golden, read_golden

__all__ = ["Chain", "Cut", "Link", "golden_feeds", "noise_feeds"]

Arrays = dict[str, NDArray[np.generic]]
_WHOLE = "model.onnx"


@dataclass(frozen=True)
class Cut:
    """The blocks of the whole lowered graph, which lie in `folder`."""

    folder: Path
    blocks: tuple[PreparedBlock, ...]


class Link(Protocol):
    """What the chain knows of a block: a manifest's, or one that was cut."""

    @property
    def file(self) -> str: ...

    @property
    def inputs(self) -> tuple[str, ...]: ...

    @property
    def outputs(self) -> tuple[str, ...]: ...


class Chain:
    """The values of one golden sample, block after block; kept only as long as a later block reads them.

    `batchable` turns False when a block cannot take two images at once.
    """

    def __init__(self, bundle: Bundle, threads: int, batches: bool = True, cut: Cut | None = None) -> None:
        """`batches`: values are looked at for two images, too, to find out how they grow with the batch. `cut`: the
        blocks, None for the bundle's own.

        Raises BundleError for golden inputs that cannot be read.
        """
        manifest = bundle.manifest
        self.blocks: tuple[Link, ...] = (*cut.blocks,) if cut else (*manifest.blocks,)
        self._bundle, self._threads, self._batches, self._cut = bundle, threads, batches, cut
        self._held: Arrays = golden_feeds(bundle)
        self._others: Arrays = {}  # values whose shape depends on the data, as they are with the other image
        self.batchable = manifest.batch is None
        self.axes: dict[str, int] = {spec.name: 0 if self.batchable else -1 for spec in manifest.inputs}
        self.values: dict[str, ValueMeasurement] = {
            spec.name: self._value(spec.name, planned=True) for spec in manifest.inputs
        }
        self._last = {name: k for k, block in enumerate(self.blocks) for name in block.inputs}

    def feeds(self, block: Link) -> Arrays:
        """Return what the block reads, for one image."""
        return {name: self._held[name] for name in block.inputs}

    def run(self, block: Link) -> Arrays:
        """Run the block, note its outputs' shapes, and return those whose shape does not depend on the data.

        Raises ModelError for a block that does not load, EngineError for one that does not run.
        """
        session = self._open(block.file)
        found = _run(session, block, self.feeds(block))
        other, both = self._another(session, block)
        if both and any(_counts_images(found[name], other[name]) for name in block.outputs):
            self.batchable = False  # later blocks would be looked at, and measured, with the number for one image
        # Where another image does not run, what is made of values of unknown size has an unknown size, too.
        unseen = -1 if all(self.values[name].planned for name in block.inputs) else _STRANGE
        for name in block.outputs:
            axis = _axis(found[name], other[name], both) if other else unseen
            # A size that depends on the data is hardly ever just twice as large for another image beside the first.
            planned = axis != _STRANGE and 0 not in found[name].shape
            self.axes[name] = axis if planned else -1
            self._held[name] = found[name]
            if other and not planned:
                self._others[name] = other[name]
            self.values[name] = self._value(name, planned)
        return {name: found[name] for name in block.outputs if self.values[name].planned}

    def drop(self, index: int) -> None:
        """Forget values that no block after number `index` reads."""
        for name in [name for name in self._held if self._last.get(name, -1) <= index]:
            del self._held[name]
            self._others.pop(name, None)

    def whole(self) -> tuple[Arrays, Arrays]:
        """Run the whole portable graph: its inputs and outputs for one image."""
        outputs = tuple(spec.name for spec in self._bundle.manifest.outputs)
        names = tuple(spec.name for spec in self._bundle.manifest.inputs)
        feeds = {name: self._held[name] for name in names}
        block = Block(_WHOLE, names, outputs, 0, 0, 0, "")
        return feeds, _run(self._open(_WHOLE), block, feeds)

    def _another(self, session: Any, block: Link) -> tuple[Arrays, bool]:
        """The block's outputs for two images and True, or for another image and False; {} when that does not run."""
        if self._batches and self.batchable:
            pairs = {name: _with_another(self._held[name], self.axes[name]) for name in block.inputs}
            try:
                return _run(session, block, {**pairs, **self._other_inputs(block)}), True
            except EdgelineError:
                self.batchable = False
        changed = {name: _changed(self._held[name]) for name in block.inputs}
        try:
            return _run(session, block, {**changed, **self._other_inputs(block)}), False
        except EdgelineError:
            return {}, False

    def _other_inputs(self, block: Link) -> Arrays:
        return {name: self._others[name] for name in block.inputs if name in self._others}

    def _value(self, name: str, planned: bool) -> ValueMeasurement:
        array = self._held[name]
        return ValueMeasurement(name, str(array.dtype), array.shape, self.axes[name], planned and array.dtype != object)

    def _open(self, file: str) -> Any:
        if self._cut and file != _WHOLE:
            return packed_session(self._cut.folder / file, self._threads)
        # Its own arena, and no packed weights: it runs once or twice.
        options = block_options(import_onnxruntime(), self._threads, packed=False, optimized=False)
        return load_session(self._bundle.file(file), options, file)


_STRANGE = -2


def _counts_images(once: NDArray[np.generic], twice: NDArray[np.generic]) -> bool:
    """Whether a few integers, such as a shape, are others for two images."""
    return once.ndim < 2 and once.dtype.kind in "iu" and once.shape == twice.shape and not np.array_equal(once, twice)


def _axis(once: NDArray[np.generic], twice: NDArray[np.generic], doubles: bool) -> int:
    """The axis that two images double (if there are two), -1 for none, _STRANGE where the shapes differ otherwise."""
    if once.shape == twice.shape:
        return -1
    if once.ndim != twice.ndim or not doubles:
        return _STRANGE
    changed = [axis for axis, (a, b) in enumerate(zip(once.shape, twice.shape, strict=True)) if a != b]
    return changed[0] if len(changed) == 1 and twice.shape[changed[0]] == 2 * once.shape[changed[0]] else _STRANGE


def _run(session: Any, block: Link, feeds: Mapping[str, NDArray[np.generic]]) -> Arrays:
    try:
        values = session.run(list(block.outputs), dict(feeds))
    except Exception as error:  # onnxruntime's exceptions share no other base
        raise EngineError(f"{block.file} does not run: {one_line(error)}") from error
    # Copied: what onnxruntime returns lies in the session's arena, and keeps all of it.
    return dict(zip(block.outputs, (np.array(value) for value in values), strict=True))


def _with_another(array: NDArray[np.generic], axis: int) -> NDArray[np.generic]:
    """The value and another one, as a batch of two."""
    if axis < 0:
        return array
    return np.ascontiguousarray(np.concatenate([array, _changed(array)], axis=axis))


def _changed(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Another value of this shape: in reverse, and moved so that as good as never as much of it is above a threshold.

    Integers of more than 8 bits stay: they are shapes and indices.
    """
    if array.dtype.kind == "b":
        return np.logical_not(np.flip(array))
    if array.dtype.kind in "iu":
        return np.flip(array // 2) if array.dtype.itemsize == 1 else array
    if array.dtype.kind != "f" or not array.size:
        return array
    low, high = float(array.min()), float(array.max())
    step = (high - low) / 4 if np.isfinite(high - low) else 0.0
    return np.asarray(np.flip(array) - array.dtype.type(step))


def golden_feeds(bundle: Bundle) -> Arrays:
    """The bundle's first golden input; noise where it has none. Raises BundleError for one that cannot be read."""
    manifest = bundle.manifest
    listed = manifest.files.get("golden.npz")  # of every bundle that was read
    arrays = load_golden(bundle.file("golden.npz"), listed.sha256 if listed else "")
    for sample in read_golden(arrays, manifest.inputs[0], manifest.preprocess):
        return dict(sample.feeds)
    return noise_feeds(bundle)


def noise_feeds(bundle: Bundle) -> Arrays:
    """Inputs for a bundle without golden samples: seeded noise, one image, other free sizes 1."""
    rng = np.random.default_rng(0)
    feeds: Arrays = {}
    for spec in bundle.manifest.inputs:
        feeds[spec.name] = rng.standard_normal(spec.least_shape).astype(spec.dtype)
    return feeds
