"""Measuring providers: only what answers rightly is a candidate, and the best is taken."""

import itertools

import pytest
from provider_fakes import install
from tiny_bundle import make_bundle

from edge_devices.profile import ProviderChoice
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.session import SessionOptions
from edge_runtime.plan.measurements import ValueMeasurement
from edge_runtime.prepare import measure_providers as measure
from edge_runtime.prepare.measure_providers import ProviderMeasuring, choose_candidate, live_bytes, turns
from edge_runtime.prepare.provider_times import AssignedBlocks, Assignment

XNNPACK = "XnnpackExecutionProvider"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return read_bundle(make_bundle(tmp_path_factory.mktemp("measure")))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Time tells nothing here: Xnnpack's second block is said to be fast, all else to be alike."""
    monkeypatch.setattr(measure, "shortest", lambda action: [action(), 1.0][1])
    monkeypatch.setattr(measure, "_MOST_TURNS", 1)


def measured(bundle, insisted=False, batch=1):
    steps = []
    measuring = ProviderMeasuring(
        bundle, [ProviderChoice(XNNPACK)], SessionOptions("cpu", 1), batch, insisted, steps.append
    )
    found = measuring.run()
    assert len(steps) == measuring.steps
    return found


def kinds(known):
    return {tuple(part.provider for part in candidate.parts) for candidate in known.candidates}


@pytest.mark.parametrize("batch", [1, 3])
def test_what_is_right_is_measured_whole_and_block_by_block(bundle, monkeypatch, batch):
    install(monkeypatch, Xnnpack="works")
    known = measured(bundle, batch=batch)
    count = len(bundle.manifest.blocks)
    for times in known.providers:
        assert (times.refused, times.wrong, times.whole_ms, times.overhead_ms) == ("", (), 1.0, 1.0)
        assert times.block_ms == (1.0,) * count
    assert kinds(known) == {(XNNPACK,), (CPU,)}
    assert all(candidate.ms > 0 for candidate in known.candidates)


def test_a_provider_that_answers_wrongly_is_no_candidate_and_says_why(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="wrong:model.onnx")
    known = measured(bundle)
    assert kinds(known) == {(CPU,)}
    assert known.providers[0].whole_ms is None
    assert "at least" in known.providers[0].refused
    assert known.providers[1].refused == ""


def test_a_block_that_is_wrong_is_left_to_the_others(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="wrong:block-01")
    times = measured(bundle).providers[0]
    assert times.block_ms[1] is None
    assert times.block_ms[0] == 1.0
    assert times.wrong == ("block-01.onnx: it does not give the portable block's answer",)


def test_a_provider_that_does_not_take_the_graph_is_told_with_its_reason(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="refuses:onnx")
    known = measured(bundle)
    assert kinds(known) == {(CPU,)}
    assert "cannot do this at all" in known.providers[0].refused
    assert set(known.providers[0].block_ms) == {None}


def fast_where(monkeypatch, provider_block_ms):
    """What `_block_ms` says: (provider, block's number) -> ms, 10 for all others."""

    def block_ms(self, one, choice):
        k = self._manifest.blocks.index(one.block)
        return provider_block_ms.get((choice.name, k), 10.0)

    monkeypatch.setattr(ProviderMeasuring, "_block_ms", block_ms)
    monkeypatch.setattr(measure, "shortest", lambda action: [action(), 60.0][1])
    monkeypatch.setattr(ProviderMeasuring, "_overhead", lambda *_args: 0.1)


def test_blocks_that_are_faster_elsewhere_make_a_mixed_candidate(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="works")
    fast_where(monkeypatch, {(XNNPACK, 1): 1.0, (XNNPACK, 0): 50.0, (XNNPACK, 2): 50.0})
    assert kinds(measured(bundle)) == {(XNNPACK,), (CPU,), (CPU, XNNPACK, CPU)}


def test_a_mixed_placement_that_is_wrong_as_a_whole_is_no_candidate(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="wrong:block-01")
    fast_where(monkeypatch, {(XNNPACK, 1): 1.0, (XNNPACK, 0): 50.0, (XNNPACK, 2): 50.0})
    assert kinds(measured(bundle)) == {(XNNPACK,), (CPU,)}


def test_a_mixed_placement_that_does_not_load_leaves_the_whole_graphs(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="refuses:bytes")
    monkeypatch.setattr(ProviderMeasuring, "_overhead", lambda *_args: 0.1)
    fast_where(monkeypatch, {(XNNPACK, 0): 1.0, (XNNPACK, 1): 1.0, (XNNPACK, 2): 50.0})
    assert kinds(measured(bundle)) == {(XNNPACK,), (CPU,)}


def test_a_mixed_placement_that_promises_nothing_is_not_tried(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="works")
    fast_where(monkeypatch, {(XNNPACK, 1): 1.0, (XNNPACK, 0): 50.0, (XNNPACK, 2): 50.0})
    monkeypatch.setattr(measure, "shortest", lambda action: [action(), 5.0][1])
    assert kinds(measured(bundle)) == {(XNNPACK,), (CPU,)}


def test_who_names_a_provider_does_not_get_the_cpu_alone(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="works")
    assert kinds(measured(bundle, insisted=True)) == {(XNNPACK,)}
    install(monkeypatch, Xnnpack="wrong:model.onnx")
    assert measured(bundle, insisted=True).candidates == ()


def test_tensorrt_that_is_right_as_a_whole_compiles_no_blocks(bundle, monkeypatch):
    install(monkeypatch, Tensorrt="works")
    choice = ProviderChoice("TensorrtExecutionProvider")
    known = ProviderMeasuring(bundle, [choice], SessionOptions("cpu", 1), 1, False, lambda _what: None).run()
    assert known.providers[0].block_ms == ()
    assert known.providers[1].block_ms == (1.0,) * len(bundle.manifest.blocks)


def candidate(ms, *providers):
    parts = tuple(AssignedBlocks(provider, k, k + 1) for k, provider in enumerate(providers))
    return Assignment(parts, ms)


def test_a_gain_within_the_noise_is_no_reason_to_leave_the_cpu_or_to_cut_the_graph():
    cpu, other, mixed = candidate(10.0, CPU), candidate(9.8, XNNPACK), candidate(9.6, CPU, XNNPACK)
    assert choose_candidate((mixed, other, cpu))[0] == cpu
    fast = candidate(9.0, XNNPACK)
    assert choose_candidate((candidate(8.9, CPU, XNNPACK), cpu, fast))[0] == fast
    assert choose_candidate((candidate(8.0, CPU, XNNPACK), cpu, fast))[0].ms == 8.0
    assert choose_candidate(()) == ()


def test_turns_tell_the_lower_quartile_and_leave_each_turns_first_run_out(monkeypatch):
    monkeypatch.setattr(measure, "_MOST_TURNS", 4)
    now, calls = [0.0], itertools.count()

    def run():
        # Every third run is the first of a turn; of the eight others one is disturbed.
        call = next(calls)
        now[0] += 9.0 if call % 3 == 0 else 5.0 if call == 4 else 2.0

    key = (AssignedBlocks(CPU, 0, 1),)
    assert turns({key: run}, clock=lambda: now[0]) == {key: pytest.approx(2000.0)}


def test_a_value_lives_until_its_last_reader(bundle):
    values = {
        name: ValueMeasurement(name, "float32", (1, 10), 0)
        for block in bundle.manifest.blocks
        for name in (*block.inputs, *block.outputs)
    }
    live = live_bytes(bundle.manifest, values, 2)
    assert live[0] == 80 * len(bundle.manifest.inputs)
    assert all(bytes_ % 80 == 0 and bytes_ >= 80 for bytes_ in live)
