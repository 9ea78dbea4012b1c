"""The preparing process: `python -m edge_runtime.prepare.child REQUEST`, a line of JSON for every step.

A process of its own, so that what onnxruntime's optimizer takes and does not give back is gone afterwards, and so that
what is measured is measured in a process with nothing else in it. The bundle's own blocks take what one of them takes.

It is also where a bundle meets native code for the first time, so it is confined (prepare/confine/) before a graph is
opened.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

from edge_devices import available_memory
from edge_devices.process_memory import memory, return_freed_memory, tune_allocator
from edge_runtime.blocks.laying import mapped_pages
from edge_runtime.blocks.measured import Measured
from edge_runtime.blocks.prepared import (
    PREPARED,
    WHOLE,
    Prepared,
    PreparedBlock,
    PreparedWhole,
    measurements_name,
    read_json,
    write_json,
)
from edge_runtime.blocks.sums import sound
from edge_runtime.bundle.bundle import Bundle, read_bundle
from edge_runtime.errors import EdgelineError, EngineError, MemoryLimitError, ModelError
from edge_runtime.files.schema import from_json
from edge_runtime.files.shortage import says_shortage
from edge_runtime.files.sizes import format_size
from edge_runtime.ort.process import import_onnxruntime, own_process
from edge_runtime.plan.measurements import BlockMeasurement, Measurements, Speeds, WholeMeasurement
from edge_runtime.prepare.budget import STACK_BYTES, budget_of
from edge_runtime.prepare.chain import Chain, Cut, Link
from edge_runtime.prepare.compress import compress
from edge_runtime.prepare.confine.confine import Bounds, confine
from edge_runtime.prepare.confine.limits import limit_seconds
from edge_runtime.prepare.cut_lowered import cut_whole, relaid, unlaid
from edge_runtime.prepare.lower import lower
from edge_runtime.prepare.measure_forms import (
    MeasuredForm,
    Subject,
    alike,
    measure_forms,
    measure_laid,
    measure_packed,
    reserved_bytes,
)
from edge_runtime.prepare.request import Request, say, say_error, short_of_memory
from edge_runtime.prepare.speed import measure_speeds

__all__ = ["main"]

_LOG = logging.getLogger(__name__)


def main() -> None:
    """Do what the request says; errors of ours go to the waiting process as a line too."""
    tune_allocator()
    request = from_json(Request, json.loads(sys.argv[1]))
    most = None
    try:
        own_process()
        bundle = read_bundle(request.bundle, check_hashes=False)  # who asks has checked them
        most = _confine(request, bundle)
        if request.rehearse:
            from edge_runtime.prepare.rehearse import rehearse  # the planner is nothing that preparing needs

            say(result=rehearse(bundle, Path(request.folder), request.threads, request.batches[-1]))
        else:
            _Preparation(request, bundle).run()
            say(result=0)
    except EdgelineError as error:
        short = says_shortage(str(error)) and not isinstance(error, MemoryLimitError)
        say_error(short_of_memory(str(error), request.limit_bytes or most) if short else error)


def _confine(request: Request, bundle: Bundle) -> int:
    """Bind this process to what the bundle may take, and tell what of that this system cannot do; returns the bytes."""
    import_onnxruntime()
    budget = budget_of(bundle.manifest, request.batches[-1])
    most = min(budget.memory_bytes, available_memory() or budget.memory_bytes)
    if request.limit_bytes is not None:  # which is kept by who watches from outside, as the kernel counts otherwise:
        most = min(most, request.limit_bytes - memory().own)
    most += reserved_bytes(request.batches[-1]) + request.threads * STACK_BYTES  # what is reserved, touched or not
    folder = Path(request.folder)
    say(missing=confine(Bounds(most, budget.file_bytes, (bundle.path,), (folder,))))
    limit_seconds(_REHEARSALS * budget.seconds)
    return most


# Runs of what ended once before: a few dozen, of up to the largest batch each. And of a block: for one, two, another.
_REHEARSALS, _RUNS_OF_BLOCK = 100, 3
# The part of a block's weights that has to be streamed packed, for the rest to stay with its kernels.
_WORTH_LAYING = 0.25
_OTHER = 64 << 20  # what the process that waits has itself


class _Preparation:
    """One request in progress."""

    def __init__(self, request: Request, bundle: Bundle) -> None:
        self.request, self.bundle = request, bundle
        self.folder = Path(request.folder)
        self.chain = Chain(bundle, request.threads, batches=request.batches[-1] > 1)
        self.total = len(bundle.manifest.blocks) * request.blocks + request.whole
        self.done = 0
        self.seconds = budget_of(bundle.manifest, request.batches[-1]).seconds
        self._peak = 0
        self._speeds: Speeds | None = None

    def run(self) -> None:
        """Prepare what is asked for."""
        limit_seconds(self.seconds)  # the first time that the graph is opened and run
        feeds, expected = self.chain.whole() if self.request.whole else ({}, {})
        whole = None
        blocks: tuple[BlockMeasurement, ...] = ()
        if self.request.blocks:
            blocks = self._blocks(feeds, expected)
        if self.request.whole:
            whole = self._whole(feeds, expected)
        if self.request.blocks:
            self._write_measurements(blocks, whole)

    def _blocks(self, feeds: dict, expected: dict) -> tuple[BlockMeasurement, ...]:  # type: ignore[type-arg]
        """Those cut from the whole graph where it may be lowered as a whole, else the bundle's own."""
        portable = self.chain
        known = self._sound(read_json(Prepared, self.folder / PREPARED))
        if known is not None and not known.portable:
            return self._measured(known.blocks, expected)
        reason = "the limit is too small to lower the whole graph (--prepare-limit)"
        if self.request.whole:
            self._step("cutting the whole graph")
            limit_seconds(_REHEARSALS * self.seconds)
            try:
                graph = self.bundle.file("model.onnx")
                cut = cut_whole(graph, self.folder, self.request.threads, feeds, self.request.batches[-1])
                return self._measured(cut, expected)
            except (ModelError, EngineError) as error:
                reason = str(error)
        self._chain_of(portable, len(self.bundle.manifest.blocks))
        return self._measured(known.blocks if known else None, {}, reason)

    def _chain_of(self, chain: Chain, blocks: int) -> None:
        """Go on with another chain of so many blocks."""
        self.chain = chain
        self.total = self.done + blocks + self.request.whole

    def _measured(
        self,
        known: tuple[PreparedBlock, ...] | None,
        expected: dict,  # type: ignore[type-arg]
        portable: str = "",
    ) -> tuple[BlockMeasurement, ...]:
        """Measure the blocks, the bundle's own lowered one by one where they are not `known`.

        `expected`: what the whole graph gives, and cut blocks have to.
        """
        if known is not None and not portable:
            cut = Cut(self.folder, known)
            self._chain_of(Chain(self.bundle, self.request.threads, self.request.batches[-1] > 1, cut), len(known))
        prepared: list[PreparedBlock] = []
        measured = []
        found: dict = {}  # type: ignore[type-arg]
        for index, block in enumerate(self.chain.blocks):
            self._step(f"block {index + 1} of {len(self.chain.blocks)}")
            feeds = self.chain.feeds(block)
            limit_seconds(_RUNS_OF_BLOCK * self.seconds)
            outputs = self.chain.run(block)
            found.update({name: array for name, array in outputs.items() if name in expected})
            limit_seconds(_REHEARSALS * self.seconds)  # what came to an end once is measured many times
            here = known[index] if known else self._lower(block)
            here, measurement = self._measure(block, here, feeds, outputs)
            prepared.append(here)
            measured.append(measurement)
            self.chain.drop(index)
            del feeds, outputs
            self._check_limit()
        if not alike({name: array for name, array in expected.items() if name in found}, found):
            raise ModelError("the blocks do not give the whole graph's answer")
        packed = [compress(here, self.folder, self.speeds()) for here in prepared]
        write_json(Prepared(1, tuple(one.block for one in packed), portable), self.folder / PREPARED)
        self._check_limit()
        return tuple(
            replace(block, packed_bytes=one.bytes, unpack_ms=one.ms)
            for block, one in zip(measured, packed, strict=True)
        )

    def _sound(self, known: Prepared | None) -> Prepared | None:
        """What is there already, where all of it is as it was written."""
        blocks = known.blocks if known else ()
        return known if all(sound(self.folder, one.graph, one.weights, one.rest) for one in blocks) else None

    def speeds(self) -> Speeds:
        """The storage's speed, measured on the prepared weights."""
        if self._speeds is None:
            self._speeds = measure_speeds(sorted([*self.folder.glob("cut-*.bin"), *self.folder.glob("block-*.bin")]))
        return self._speeds

    def _lower(self, block: Link) -> PreparedBlock:
        target = self.folder / Path(block.file).name
        weights = lower(self.bundle.file(block.file), target, self.request.threads)
        return PreparedBlock(block.file, target.name, weights, block.inputs, block.outputs)

    def _measure(
        self,
        block: Link,
        here: PreparedBlock,
        feeds: dict,  # type: ignore[type-arg]
        expected: dict,  # type: ignore[type-arg]
    ) -> tuple[PreparedBlock, BlockMeasurement]:
        """The block as it can be held here, and what that takes."""
        subject = Subject(
            self.folder,
            here.graph,
            here.weights,
            feeds,
            expected,
            block.outputs,
            dict(self.chain.axes),
            self.request.batches if self.chain.batchable else (1,),
            self.request.threads,
            here.pages,
        )
        here, found = self._laid(here, subject)
        if found is None:
            here = unlaid(here, self.folder)
            found = measure_forms(replace(subject, weights=here.weights, pages=()))
        size = here.weights.size if here.weights else 0
        return here, BlockMeasurement(
            file=block.file,
            inputs=block.inputs,
            outputs=block.outputs,
            weight_bytes=size,
            stored_bytes=size,
            forms=tuple(form.form for form in found),
            work=_most_work(found),
            laid=bool(here.pages),
        )

    def _laid(self, here: PreparedBlock, subject: Subject) -> tuple[PreparedBlock, list[MeasuredForm] | None]:
        """The block with as many of its weights laid as can be, and its forms; None where none can, or it is wrong."""
        if not here.pages or here.weights is None:
            return here, None
        try:
            file = self.folder / here.weights.file
            mapped = mapped_pages(self.folder / here.graph, file, here.pages, self.request.threads)
            if sum(length for _, length in mapped) < _WORTH_LAYING * here.weights.size:
                return here, None
            if len(mapped) < len(here.pages):
                here = relaid(here, self.folder, mapped)
            if here.weights is None:
                return here, None
            return here, measure_laid(replace(subject, weights=here.weights, pages=here.pages), here.weights)
        except (ModelError, EngineError) as error:
            _LOG.debug("%s: %s", here.graph, error)
            return here, None

    def _whole(self, feeds: dict, expected: dict) -> WholeMeasurement | None:  # type: ignore[type-arg]
        self._step("the whole graph")
        target = self.folder / "whole.onnx"
        known = read_json(PreparedWhole, self.folder / WHOLE)
        if known is not None and sound(self.folder, known.graph, known.weights):
            weights = known.weights
        else:
            weights = lower(self.bundle.file("model.onnx"), target, self.request.threads)
        batches = self.request.batches if self.chain.batchable and self.request.blocks else (1,)
        subject = Subject(
            self.folder,
            target.name,
            None,
            feeds,
            expected,
            tuple(expected),
            dict(self.chain.axes) if self.request.blocks else dict.fromkeys((*feeds, *expected), -1),
            batches,
            self.request.threads,
        )
        limit_seconds(_REHEARSALS * self.seconds)
        measured = measure_packed(subject)
        write_json(PreparedWhole(1, target.name, weights), self.folder / WHOLE)
        form = measured.form
        return WholeMeasurement(form.held_bytes, form.making_bytes, form.timings, measured.work)

    def _write_measurements(self, blocks: tuple[BlockMeasurement, ...], whole: WholeMeasurement | None) -> None:
        batches = self.request.batches if self.chain.batchable else (1,)
        values = tuple(self.chain.values.values())
        prepared = read_json(Prepared, self.folder / PREPARED)
        portable = prepared.portable if prepared else ""
        measurements = Measurements(self.request.threads, batches, values, blocks, whole, 0, portable)
        name = measurements_name(self.request.threads, self.request.batches[-1])
        write_json(Measured(1, measurements, self.speeds()), self.folder / name)

    def _step(self, what: str) -> None:
        say(step=what, done=self.done, total=self.total)
        self.done += 1

    def _check_limit(self) -> None:
        gc.collect()
        return_freed_memory()
        # What was measured reset the peak; the limit held or not over all blocks.
        now = memory()
        # Pages of files (the libraries) are those of the waiting process, too.
        self._peak = peak = max(self._peak, now.peak - (now.resident - now.own))
        limit = self.request.limit_bytes
        if limit is not None and peak > limit:
            raise MemoryLimitError(
                f"preparing this bundle takes {format_size(peak)} in a process of its own, {format_size(limit)} are "
                f"left of the limit; prepare it once with --prepare-limit {format_size(peak + _OTHER)}, "
                "or without a limit: edge-bench --prepare BUNDLE"
            )


def _most_work(found: list[MeasuredForm]) -> tuple:  # type: ignore[type-arg]
    """The most that any form needs, for each batch."""
    return tuple(max(works, key=lambda work: work.bytes) for works in zip(*(form.work for form in found), strict=True))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
