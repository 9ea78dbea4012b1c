"""Measuring a bundle on several providers: is it right there, how long does it take, whole and block by block."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_devices.profile import ProviderChoice
from edge_runtime.bundle.boundaries import alive_before
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.manifest import Block, Manifest
from edge_runtime.errors import DataError, EdgelineError, ModelError
from edge_runtime.ort.block_session import run_bound
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.ort.providers.assignment import ProviderCosts, assign, cost, parts
from edge_runtime.ort.providers.choose import BUILDS, CPU, gpu_of, short_name
from edge_runtime.ort.providers.load import tiny_session
from edge_runtime.ort.providers.segments import SegmentRunner, segments_of
from edge_runtime.ort.runner import Arrays, Runner, Tensors
from edge_runtime.ort.session import SessionOptions, SessionRunner
from edge_runtime.plan.measurements import ValueMeasurement
from edge_runtime.prepare.chain import Chain
from edge_runtime.prepare.measure_forms import alike, shortest, tiled
from edge_runtime.prepare.provider_times import AssignedBlocks, Assignment, MeasuredProviders, ProviderTimes
from edge_runtime.verify.golden import load_golden
from edge_runtime.verify.verify import verify

__all__ = ["ProviderMeasuring", "choose_candidate", "live_bytes", "turns"]

StepCall = Callable[[str], None]

# Of the runs in turns: this long for each candidate, or so many runs.
_SECONDS, _LEAST_TURNS, _MOST_TURNS, _COUNTED = 1.5, 5, 40, 2
# What must be gained to leave the CPU, whose rounding is that of the certificate, and to cut the graph.
_WHOLE_HANDICAP, _MIXED_HANDICAP = 1.03, 1.06
# Segments are tried where the sum of what was measured one by one does not speak against it.
_WORTH_TRYING = 1.1
_CARRIED_BYTES = 16 << 20
# Of a block in integers, as signal to noise: another library's int8 kernels differ by a step here and there, and steps
# spread through its layers (28 dB after the 30 of the sample's first block under OpenVINO, 35 dB after a few of
# ResNet-50's). A kernel that is wrong is far below; and the whole placement is judged by the certificate in the end.
_INTEGERS_DB = 25.0


class ProviderMeasuring:
    """One bundle measured on `providers`, and on the CPU."""

    def __init__(
        self,
        bundle: Bundle,
        providers: Sequence[ProviderChoice],
        options: SessionOptions,
        batch: int,
        insisted: bool,
        step: StepCall,
    ) -> None:
        """`step` is told what comes next. Raises BundleError for golden inputs that cannot be read."""
        self._bundle, self._manifest, self._options = bundle, bundle.manifest, options
        self._choices = (*providers, ProviderChoice(CPU))
        self._insisted, self._step = insisted, step
        self._integers = any(node.precision == "int8" for node in bundle.manifest.precision)
        self._threads = options.threads or 1
        self._chain = Chain(bundle, self._threads, batches=batch > 1)
        self._batch = batch if self._chain.batchable else 1
        names = tuple(spec.name for spec in self._manifest.inputs)
        self._feeds = self._tiled(self._chain.feeds(Block("model.onnx", names, (), 0, 0, 0, "")))
        self._golden = load_golden(bundle.file("golden.npz"), bundle.manifest.files["golden.npz"].sha256)

    @property
    def steps(self) -> int:
        """How often `step` is called."""
        return len(self._choices) + (len(self._manifest.blocks) if len(self._manifest.blocks) > 1 else 0) + 1

    def run(self) -> MeasuredProviders:
        """Measure, and return the candidates that are right, the best one first."""
        self._expected = self._portable_answer()
        runners: dict[tuple[AssignedBlocks, ...], Runner] = {}
        count = len(self._manifest.blocks)
        found = []
        for choice in self._choices:
            self._step(f"{short_name(choice.name)}, the whole graph")
            session, times = self._whole(choice)
            found.append(times)
            if session is not None and not (self._insisted and choice.name == CPU):
                runners[(AssignedBlocks(choice.name, 0, count),)] = session
        if count > 1:
            found = self._blocks(found)
            self._add_mixed(found, runners)
        self._step("the candidates, in turns")
        ms = turns({key: self._runs(runner) for key, runner in runners.items()})
        candidates = tuple(Assignment(key, ms[key]) for key in runners)
        for runner in runners.values():
            runner.close()
        return MeasuredProviders(1, tuple(found), choose_candidate(candidates))

    def _portable_answer(self) -> Tensors | None:
        """What the CPU answers to the first sample; None where this onnxruntime's CPU provider cannot run the graph."""
        try:
            return self._chain.whole()[1]
        except EdgelineError:
            return None

    def _whole(self, choice: ProviderChoice) -> tuple[Runner | None, ProviderTimes]:
        """The whole graph on one provider, if it is right there."""
        overhead = math.nan
        try:
            overhead = self._overhead(choice)
            session = SessionRunner(self._bundle.file("model.onnx"), self._options, provider=choice)
            if why := self._problem(session):
                return None, ProviderTimes(choice.name, None, (), overhead, why)
            ms = shortest(self._runs(session))
        except EdgelineError as error:
            return None, ProviderTimes(choice.name, None, (), 0.0 if math.isnan(overhead) else overhead, str(error))
        return session, ProviderTimes(choice.name, ms, (), overhead)

    def _blocks(self, wholes: Sequence[ProviderTimes]) -> list[ProviderTimes]:
        """Measure block by block; a provider that compiles for minutes and is right as a whole is left as it is."""
        chosen = [
            choice
            for choice, times in zip(self._choices, wholes, strict=True)
            if not (choice.name in BUILDS and times.whole_ms is not None)
        ]
        ms: dict[str, list[float | None]] = {choice.name: [] for choice in chosen}
        wrong: dict[str, list[str]] = {choice.name: [] for choice in chosen}
        try:
            for k, block in enumerate(self._manifest.blocks):
                self._step(f"block {k + 1} of {len(self._manifest.blocks)}")
                feeds = self._chain.feeds(block)
                expected = self._chain.run(block)
                if self._batch > 1 and not self._chain.batchable:
                    raise ModelError(f"{block.file} takes one image at a time")
                one = _OneBlock(block, self._tiled(feeds), self._tiled(expected))
                for choice in chosen:
                    try:
                        ms[choice.name].append(self._block_ms(one, choice))
                    except EdgelineError as error:
                        ms[choice.name].append(None)
                        wrong[choice.name].append(f"{block.file}: {error}")
                self._chain.drop(k)
        except EdgelineError as error:
            # Without the portable blocks' answers nothing can be said of blocks: the whole graphs remain.
            return [_with(times, (), (f"blocks were not measured: {error}",)) for times in wholes]
        return [
            _with(times, tuple(ms.get(times.provider, ())), tuple(wrong.get(times.provider, ()))) for times in wholes
        ]

    def _block_ms(self, one: _OneBlock, choice: ProviderChoice) -> float:
        """One block on one provider, with its values where that computes. Raises EdgelineError."""
        k = self._manifest.blocks.index(one.block)
        runner = SegmentRunner(self._bundle, segments_of(self._manifest, [(choice, k, k + 1)]), self._options)
        session = runner.sessions[0]
        binding = _bound(session, one, gpu_of(choice))
        run_bound(session, binding)
        found = {name: value.numpy() for name, value in zip(one.block.outputs, binding.get_outputs(), strict=True)}
        right = alike(one.expected, found, _INTEGERS_DB) if self._integers else alike(one.expected, found)
        if not right:
            raise ModelError("it does not give the portable block's answer")
        return shortest(lambda: run_bound(session, binding))

    def _add_mixed(self, found: Sequence[ProviderTimes], runners: dict[tuple[AssignedBlocks, ...], Runner]) -> None:
        """Add the best placement of blocks, where it has several parts, is right and may be worth it."""
        cut = self._best_cut(found)
        if cut is None:
            return
        by_name = {choice.name: choice for choice in self._choices}
        segments = segments_of(self._manifest, [(by_name[part.provider], part.first, part.stop) for part in cut])
        try:
            runner = SegmentRunner(self._bundle, segments, self._options)
            if not self._problem(runner):
                runners[cut] = runner
        except EdgelineError:
            return  # segments that do not load or run together: the whole graphs remain

    def _best_cut(self, found: Sequence[ProviderTimes]) -> tuple[AssignedBlocks, ...] | None:
        there = [times for times in found if times.block_ms]
        if not there:
            return None
        chosen = [next(choice for choice in self._choices if choice.name == times.provider) for times in there]
        costs = ProviderCosts(
            tuple(times.block_ms for times in there),
            tuple(times.overhead_ms for times in there),
            self._crossing([gpu_of(choice) for choice in chosen]),
        )
        where = assign(costs)
        if where is None or len(set(where)) == 1:
            return None
        wholes = [times.whole_ms for times in found if times.whole_ms is not None]
        if wholes and (cost(costs, where) or 0.0) > _WORTH_TRYING * min(wholes):
            return None
        return tuple(AssignedBlocks(there[part.provider].provider, part.first, part.stop) for part in parts(where))

    def _crossing(self, gpus: Sequence[int | None]) -> Callable[[int, int, int], float]:
        """What carrying takes, in ms: nothing between providers that compute in the same memory."""
        ms_per_byte = {gpu: _carrying(gpu) for gpu in gpus if gpu is not None}
        live = live_bytes(self._manifest, self._chain.values, self._batch)

        def crossing(k: int, before: int, here: int) -> float:
            if gpus[before] == gpus[here]:
                return 0.0
            return live[k] * sum(ms_per_byte[gpu] for gpu in (gpus[before], gpus[here]) if gpu is not None)

        return crossing

    def _overhead(self, choice: ProviderChoice) -> float:
        session = tiny_session(choice, self._threads)
        feeds = {"x": np.zeros((1, 4), np.float32)}
        return shortest(lambda: session.run(["y"], feeds))

    def _problem(self, runner: Runner) -> str:
        """Why the answers are not those of the certificate, "" where they are."""
        try:
            reasons = verify(runner, self._bundle, self._golden).reasons
            return reasons[0] if reasons else ""
        except DataError:  # a bundle without golden answers
            if self._expected is None:
                return "there is nothing that its answers could be compared with"
            found = runner.run({name: self._chain_input(name) for name in self._feeds})
            return "" if alike(self._expected, found) else "it does not give the portable graph's answer"

    def _chain_input(self, name: str) -> NDArray[np.generic]:
        axis = self._chain.axes[name]
        return self._feeds[name] if axis < 0 or self._batch == 1 else self._feeds[name][:1]

    def _runs(self, runner: Runner) -> Callable[[], object]:
        return lambda: runner.run(self._feeds)

    def _tiled(self, arrays: Arrays) -> Tensors:
        return {name: tiled(array, self._chain.axes[name], self._batch) for name, array in arrays.items()}


@dataclass(frozen=True)
class _OneBlock:
    """A block, what it reads and what has to come out."""

    block: Block
    feeds: Tensors
    expected: Tensors


def choose_candidate(candidates: Sequence[Assignment]) -> tuple[Assignment, ...]:
    """Return the candidates in the order of what they promise: a cut graph has to gain more than a whole one."""

    def promise(candidate: Assignment) -> float:
        if len(candidate.parts) > 1:
            return candidate.ms * _MIXED_HANDICAP
        return candidate.ms if candidate.parts[0].provider == CPU else candidate.ms * _WHOLE_HANDICAP

    return tuple(sorted(candidates, key=promise))


def turns(
    runs: Mapping[tuple[AssignedBlocks, ...], Callable[[], object]], clock: Callable[[], float] = time.perf_counter
) -> dict[tuple[AssignedBlocks, ...], float]:
    """Return the lower quartile of each one's times in ms, run in turns: a machine that is busy is so for all of them.

    What else runs makes a run longer, never shorter; the very shortest would be luck. The first run of each turn does
    not count: threads of the one before may still be busy with waiting.
    """
    times: dict[tuple[AssignedBlocks, ...], list[float]] = {key: [] for key in runs}
    started = clock()
    for turn in range(_MOST_TURNS):
        for key, run in runs.items():
            run()
            for _ in range(_COUNTED):
                before = clock()
                run()
                times[key].append((clock() - before) * 1000)
        if turn + 1 >= _LEAST_TURNS and clock() - started > _SECONDS * len(runs):
            break
    return {key: sorted(values)[len(values) // 4] for key, values in times.items()}


def live_bytes(manifest: Manifest, values: Mapping[str, ValueMeasurement], batch: int) -> list[int]:
    """Return the bytes that live before each block: made earlier, or given to the model, and read by it or later."""
    inputs = [spec.name for spec in manifest.inputs]
    alive = (alive_before(manifest.blocks, k, inputs, ()) for k in range(len(manifest.blocks)))
    return [sum(values[name].bytes_of(batch) for name in names if name in values) for names in alive]


def _with(times: ProviderTimes, block_ms: tuple[float | None, ...], wrong: tuple[str, ...]) -> ProviderTimes:
    return ProviderTimes(times.provider, times.whole_ms, block_ms, times.overhead_ms, times.refused, wrong)


def _bound(session: Any, one: _OneBlock, gpu: int | None) -> Any:
    """Inputs and outputs in the memory of the provider."""
    runtime = import_onnxruntime()
    device, number = ("cpu", 0) if gpu is None else ("cuda", gpu)
    binding = session.io_binding()
    for name, array in one.feeds.items():
        binding.bind_ortvalue_input(name, runtime.OrtValue.ortvalue_from_numpy(array, device, number))
    for name in one.block.outputs:
        binding.bind_output(name, device, number)
    return binding


def _carrying(gpu: int) -> float:
    """Milliseconds for a byte between main memory and this GPU's."""
    runtime = import_onnxruntime()
    array = np.zeros(_CARRIED_BYTES, np.uint8)
    return shortest(lambda: runtime.OrtValue.ortvalue_from_numpy(array, "cuda", gpu)) / _CARRIED_BYTES
