"""The whole graph lowered with its packed weights beside it, and cut in blocks whose weights can be streamed packed.

Lowered first and cut after: a boundary is a value as it is inside the whole graph (NCHWc, int8), nodes stay fused, and
a block's kernels are those of the whole graph. Of a block's file the first part is what its kernels read, the packed
form of a weight where onnxruntime saved one, else the weight itself, each at the start of a page (blocks/laying.py);
behind it lies what is read only when the session is made.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from edge_runtime.blocks.prepared import PreparedBlock, Rest, StoredWeights
from edge_runtime.blocks.sums import note_graph
from edge_runtime.bundle.wire import field
from edge_runtime.errors import ModelError
from edge_runtime.files.atomic import crc32_file, sync_path, writing
from edge_runtime.ort.block_session import ELEMENT_TYPES
from edge_runtime.ort.process import block_options, import_onnxruntime, load_session, one_line
from edge_runtime.prepare.cuts import Boundary, boundaries, choose_cuts
from edge_runtime.prepare.lower import lower
from edge_runtime.prepare.lowered_graph import LoweredGraph, LoweredWeight, Span, read_lowered

__all__ = ["cut_whole", "relaid", "unlaid"]

Arrays = Mapping[str, NDArray[np.generic]]

# Smaller weights stay where onnxruntime has them: laying them would cost more pages than they have.
_SMALL = 64 << 10
_TENSOR_ALIGNMENT = 64
_CHUNK = 4 << 20


def cut_whole(source: Path, folder: Path, threads: int, feeds: Arrays, batch: int) -> tuple[PreparedBlock, ...]:
    """Lower the graph at `source`, cut it for calls of `batch` images, and write its blocks to `folder`.

    `feeds` are inputs of one image, with which the sizes of values are seen. Raises ModelError for a graph that cannot
    be cut, OutputError.
    """
    lowered = folder / "lowered.onnx"
    try:
        weights = lower(source, lowered, threads, packed=True)
        if weights is None:
            raise ModelError(f"{source.name} has no weights to stream")
        try:
            graph = read_lowered(lowered.read_bytes()).alive()
            # What older files list as inputs beside their weights may be read by nobody any more.
            given = {name: value for name, value in graph.inputs.items() if name.decode() in feeds}
            graph = replace(graph, inputs=given)
            return _Cutting(graph, lowered, folder, threads).run(feeds, batch)
        except ValueError as error:
            raise ModelError(f"{source.name} cannot be cut as it was lowered: {error}") from error
    finally:
        lowered.unlink(missing_ok=True)
        lowered.with_suffix(".bin").unlink(missing_ok=True)


def relaid(block: PreparedBlock, folder: Path, mapped: Collection[tuple[int, int]]) -> PreparedBlock:
    """Write the block's files again with the pages that are `mapped` first, and nothing else of its weights there.

    What is not mapped belongs to kernels that pack it for themselves. Raises OutputError.
    """
    graph = read_lowered((folder / block.graph).read_bytes())
    offsets = {offset for offset, _ in mapped}
    path = folder / f"{Path(block.graph).stem}.bin"
    file = _BlockFile(path, list(graph.weights.values()), lambda span: span.offset in offsets)
    before = path.rename(path.with_suffix(".old"))
    try:
        with before.open("rb") as stream, writing(file.path):
            file.write(stream)
    finally:
        before.unlink()
    tensors = [weight.stored(path.name, file.moved) for weight in graph.weights.values()]
    model = graph.part(range(len(graph.nodes)), graph.inputs, graph.outputs, tensors)
    _write_graph(folder / block.graph, model)
    return replace(block, weights=file.stored(), pages=file.pages, rest=file.rest())


def unlaid(block: PreparedBlock, folder: Path) -> PreparedBlock:
    """Return the block for a machine on which its weights cannot be laid: all of its file is its weights."""
    part = block.weights or block.rest
    if part is None or (not block.pages and block.rest is None):
        return block
    path = folder / part.file
    weights = StoredWeights(part.file, path.stat().st_size, crc32_file(path))
    return replace(block, weights=weights, pages=(), rest=None)


def _write_graph(target: Path, model: bytes) -> None:
    with writing(target):
        target.write_bytes(model)
        sync_path(target)
        note_graph(target)


@dataclass(frozen=True)
class _Cutting:
    graph: LoweredGraph
    path: Path
    folder: Path
    threads: int

    def run(self, feeds: Arrays, batch: int) -> tuple[PreparedBlock, ...]:
        graph = self.graph
        values = graph.inputs.keys() | {name for node in graph.nodes for name in node.makes}
        reads = [node.reads & values for node in graph.nodes]
        makes = [node.makes for node in graph.nodes]
        if missing := graph.outputs.keys() - {name for names in makes for name in names}:
            raise ValueError(f"no node makes its output {min(missing)!r}")
        places = boundaries(reads, makes, frozenset(graph.outputs), frozenset(graph.inputs))
        found = self._values(places, feeds)
        sizes = {name: array.nbytes * batch for name, array in found.items()}
        first_use: dict[bytes, int] = {}
        for index, node in enumerate(graph.nodes):
            for name in node.reads & graph.weights.keys():
                first_use.setdefault(name, index)
        weights = [0] * len(graph.nodes)
        for name, index in first_use.items():
            weights[index] += sum(span.length for span in _streamed(graph.weights[name]))
        cuts = choose_cuts(places, weights, sizes)
        if not cuts:
            raise ValueError("nothing would be gained")
        types = {name: _value(name, array.dtype) for name, array in found.items()}
        starts = [0, *(cut.node for cut in cuts)]
        stops = [*starts[1:], len(graph.nodes)]
        with self.path.with_suffix(".bin").open("rb") as stream:
            return tuple(
                self._write(f"cut-{k:02d}", range(start, stop), reads, types, stream)
                for k, (start, stop) in enumerate(zip(starts, stops, strict=True))
            )

    def _values(self, places: Sequence[Boundary], feeds: Arrays) -> dict[bytes, NDArray[np.generic]]:
        """Run the whole lowered graph for the values at the boundaries; those that are no tensors are left out."""
        graph = self.graph
        wanted = sorted({name for place in places for name in place.values} - graph.outputs.keys())
        wanted = [name for name in wanted if name not in graph.inputs]
        outputs = {**graph.outputs, **{name: field(1, name) for name in wanted}}
        weights = [
            weight.stored(self.path.with_suffix(".bin").name, _unmoved(weight)) for weight in graph.weights.values()
        ]
        whole = graph.part(range(len(graph.nodes)), graph.inputs, outputs, weights)
        options = block_options(import_onnxruntime(), self.threads, packed=True)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(self.folder))
        session = load_session(whole, options, self.path.name)
        names = [*wanted, *graph.outputs]
        try:
            arrays = session.run([name.decode() for name in names], dict(feeds))
        except Exception as error:  # onnxruntime's exceptions share no other base
            raise ModelError(f"{self.path.name} does not run: {one_line(error)}") from error
        found = {
            name: np.array(array) for name, array in zip(names, arrays, strict=True) if isinstance(array, np.ndarray)
        }
        found.update({name.encode(): np.asarray(array) for name, array in feeds.items()})
        return {name: array for name, array in found.items() if str(array.dtype) in ELEMENT_TYPES and array.size}

    def _write(
        self,
        name: str,
        nodes: range,
        reads: Sequence[frozenset[bytes]],
        types: Mapping[bytes, bytes],
        stream: IO[bytes],
    ) -> PreparedBlock:
        graph = self.graph
        made = list(dict.fromkeys(name for index in nodes for name in graph.nodes[index].makes))
        inside = set(made)
        taken = list(dict.fromkeys(name for index in nodes for name in sorted(reads[index]) if name not in inside))
        later = {name for index in range(nodes.stop, len(graph.nodes)) for name in reads[index]} | graph.outputs.keys()
        given = [name for name in made if name in later]
        used = list(
            dict.fromkeys(w for index in nodes for w in sorted(graph.nodes[index].reads & graph.weights.keys()))
        )
        target = self.folder / f"{name}.onnx"
        file = _BlockFile(target.with_suffix(".bin"), [graph.weights[weight] for weight in used])
        with writing(file.path):
            file.write(stream)
        tensors = [graph.weights[weight].stored(file.path.name, file.moved) for weight in used]
        model = graph.part(
            nodes,
            {name: graph.inputs.get(name) or types[name] for name in taken},
            {name: graph.outputs.get(name) or types[name] for name in given},
            tensors,
        )
        _write_graph(target, model)
        return PreparedBlock(
            target.name,
            target.name,
            file.stored(),
            tuple(value.decode() for value in taken),
            tuple(value.decode() for value in given),
            file.pages,
            file.rest(),
        )


class _BlockFile:
    """A block's weights: what is streamed in whole pages, then what is not."""

    def __init__(
        self, path: Path, weights: Sequence[LoweredWeight], wanted: Callable[[Span], bool] = lambda _: True
    ) -> None:
        """`wanted` are streamed, of what is worth it."""
        self.path = path
        spans = [span for weight in weights for span in _spans(weight)]
        first = dict.fromkeys(span for weight in weights for span in _streamed(weight) if wanted(span))
        self.moved: dict[Span, int] = {}
        pages = []
        at = 0
        for span in first:
            self.moved[span] = at
            pages.append((at, _whole_pages(span.length)))
            at += _whole_pages(span.length)
        self.pages: tuple[tuple[int, int], ...] = tuple(pages)
        self._streamed_bytes = at
        for span in dict.fromkeys(span for span in spans if span not in first):
            at += -at % _TENSOR_ALIGNMENT
            self.moved[span] = at
            at += span.length
        self._size = at
        self._crcs = (0, 0)

    def write(self, stream: IO[bytes]) -> None:
        """Copy the spans out of the lowered graph's file."""
        first = rest = written = 0
        with self.path.open("wb") as target:
            for span, offset in self.moved.items():
                for chunk in (b"\0" * (offset - written), *_chunks(stream, span)):
                    target.write(chunk)
                    if written < self._streamed_bytes:
                        first = zlib.crc32(chunk, first)
                    else:
                        rest = zlib.crc32(chunk, rest)
                    written += len(chunk)
                if offset < self._streamed_bytes:  # its last page to the end
                    padding = b"\0" * (offset + _whole_pages(span.length) - written)
                    target.write(padding)
                    first = zlib.crc32(padding, first)
                    written += len(padding)
        sync_path(self.path)
        self._crcs = first, rest

    def stored(self) -> StoredWeights | None:
        """What is streamed; None where nothing is."""
        return StoredWeights(self.path.name, self._streamed_bytes, self._crcs[0]) if self._streamed_bytes else None

    def rest(self) -> Rest | None:
        """What lies behind it."""
        size = self._size - self._streamed_bytes
        return Rest(self.path.name, self._streamed_bytes, size, self._crcs[1]) if size else None


def _streamed(weight: LoweredWeight) -> tuple[Span, ...]:
    """What a kernel reads of a weight at every run, if that is large enough to be worth a page of its own."""
    packed = tuple(span for spans in weight.packed.values() for span, _ in spans)
    read = packed or ((weight.place,) if weight.place is not None else ())
    return tuple(span for span in read if span.length >= _SMALL)


def _spans(weight: LoweredWeight) -> Iterator[Span]:
    if weight.place is not None:
        yield weight.place
    for spans in weight.packed.values():
        yield from (span for span, _ in spans)


def _unmoved(weight: LoweredWeight) -> dict[Span, int]:
    return {span: span.offset for span in _spans(weight)}


def _chunks(stream: IO[bytes], span: Span) -> Iterator[bytes]:
    stream.seek(span.offset)
    left = span.length
    while left:
        chunk = stream.read(min(left, _CHUNK))
        if not chunk:
            raise ValueError("its weights end behind their file")
        yield chunk
        left -= len(chunk)


def _whole_pages(size: int) -> int:
    return size + -size % mmap.PAGESIZE


def _value(name: bytes, dtype: np.dtype[np.generic]) -> bytes:
    """A ValueInfoProto: a tensor of this element type and any shape."""
    tensor_type = field(1, ELEMENT_TYPES[str(dtype)])
    return field(1, name) + field(2, field(1, tensor_type))
