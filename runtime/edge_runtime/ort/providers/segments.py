"""A model in segments on several providers: neighbouring blocks on one of them are one session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_devices.profile import ProviderChoice
from edge_runtime.bundle.boundaries import crossings
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.manifest import Block, Manifest
from edge_runtime.errors import EngineError
from edge_runtime.ort.block_session import run_bound
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.ort.providers.choose import gpu_of
from edge_runtime.ort.providers.fuse import fuse
from edge_runtime.ort.runner import Arrays, AtOnce, Tensors
from edge_runtime.ort.session import SessionOptions, open_session

__all__ = ["Segment", "SegmentRunner", "segments_of"]


@dataclass(frozen=True)
class Segment:
    """Blocks `first`..`stop`-1 of a bundle on one provider, and the values that enter and leave them."""

    provider: ProviderChoice
    first: int
    stop: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def segments_of(manifest: Manifest, cuts: Sequence[tuple[ProviderChoice, int, int]]) -> tuple[Segment, ...]:
    """Return the segments of (provider, first block, block behind the last), which follow one another."""
    return tuple(Segment(provider, first, stop, *crossings(manifest, first, stop)) for provider, first, stop in cuts)


class SegmentRunner(AtOnce):
    """Runs segments one after another. `run` may be called by several threads at a time.

    A value stays where it was made: providers that compute in main memory read it there, and on a GPU it is only
    carried where a reader is not on that GPU.
    """

    def __init__(self, bundle: Bundle, segments: Sequence[Segment], options: SessionOptions) -> None:
        """Load every segment. Raises ModelError for one that does not load on its provider."""
        self._segments = tuple(segments)
        self._outputs = [spec.name for spec in bundle.manifest.outputs]
        self._last = {name: k for k, segment in enumerate(segments) for name in segment.inputs}
        self._places = _places(segments, self._outputs)
        self.sessions: list[Any] = [_open(bundle, segment, options) for segment in segments]
        self.providers = tuple(dict.fromkeys(name for session in self.sessions for name in session.get_providers()))

    def run(self, feeds: Arrays) -> Tensors:
        """Run named arrays through all segments; returns every output by name. Raises EngineError."""
        runtime = import_onnxruntime()
        sessions = self.sessions
        if not sessions:
            raise EngineError("the engine is closed; open the bundle again")
        # Made of an array in order, a value points to it.
        values = {
            name: runtime.OrtValue.ortvalue_from_numpy(np.asarray(array, order="C")) for name, array in feeds.items()
        }
        for k, (segment, session) in enumerate(zip(self._segments, sessions, strict=True)):
            binding = session.io_binding()
            for name in segment.inputs:
                binding.bind_ortvalue_input(name, values[name])
            for name in segment.outputs:
                binding.bind_output(name, *self._places[name])
            run_bound(session, binding)
            values.update(zip(segment.outputs, binding.get_outputs(), strict=True))
            for name in segment.inputs:
                if self._last[name] == k and name not in self._outputs:
                    del values[name]
        return {name: values[name].numpy() for name in self._outputs}

    def close(self) -> None:
        """Free the sessions; running again is an error, a run that is under way ends well."""
        self.sessions = []


def _places(segments: Sequence[Segment], outputs: Sequence[str]) -> dict[str, tuple[str, int]]:
    """The device, as onnxruntime calls it, that each value is made on: the GPU where it is read, else main memory."""
    places = {}
    for segment in segments:
        gpu = gpu_of(segment.provider)
        for name in segment.outputs:
            read_there = any(name in other.inputs and gpu_of(other.provider) == gpu for other in segments)
            places[name] = ("cuda", gpu) if gpu is not None and read_there and name not in outputs else ("cpu", 0)
    return places


def _open(bundle: Bundle, segment: Segment, options: SessionOptions) -> Any:
    blocks: Sequence[Block] = bundle.manifest.blocks[segment.first : segment.stop]
    if len(blocks) == len(bundle.manifest.blocks):
        return open_session(bundle.file("model.onnx"), options, provider=segment.provider)
    if len(blocks) == 1:
        return open_session(bundle.file(blocks[0].file), options, provider=segment.provider)
    models = [bundle.file(block.file).read_bytes() for block in blocks]
    return open_session(
        fuse(models, segment.inputs, segment.outputs), options, provider=segment.provider, folder=bundle.path
    )
