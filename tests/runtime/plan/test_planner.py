"""Plans of random bundles hold what they promise, and those of simple ones are the obvious ones."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_cases import BASE, SPEEDS, make_block, make_chain, make_form, make_manifest, timings

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.errors import EngineError, MemoryLimitError, UsageError
from edge_runtime.plan.measurements import Limit, Measurements, Timing, ValueMeasurement, WholeMeasurement, Work
from edge_runtime.plan.plan import Plan
from edge_runtime.plan.planner import plan
from edge_runtime.plan.validate import validate

Case = tuple[Manifest, Measurements]
CASES = st.builds(
    make_chain,
    seed=st.integers(0, 10_000),
    blocks=st.integers(1, 5),
    batches=st.sampled_from([(1,), (1, 4), (2, 4)]),
    axis=st.sampled_from([0, 0, 0, 1, -1]),
    load_per_mb=st.sampled_from([0.05, 0.5, 3.0]),
    whole=st.booleans(),
)
BATCHES = st.integers(1, 6)
QUICK = settings(max_examples=25)


def planned(case: Case, limit: int | None, batch: int = 1, cached: bool = True) -> Plan:
    found = plan(*case, SPEEDS, Limit(limit, BASE, batch, cached))
    validate(found, case[1])
    return found


def smallest(case: Case, batch: int = 1) -> int:
    with pytest.raises(MemoryLimitError) as caught:
        planned(case, BASE, batch)
    assert caught.value.smallest_bytes is not None
    return caught.value.smallest_bytes


@QUICK
@given(CASES, BATCHES, st.integers(0, 60_000_000), st.booleans())
def test_every_plan_is_sound_and_within_its_limit(case: Case, batch: int, spare: int, cached: bool) -> None:
    limit = smallest(case, batch) + spare
    found = planned(case, limit, batch, cached)
    assert found.peak_bytes <= limit
    assert found.batch <= batch
    assert found.limit_bytes == limit
    assert found.cached == cached


@QUICK
@given(CASES, BATCHES)
def test_the_smallest_limit_that_is_named_is_met_and_one_byte_less_is_not(case: Case, batch: int) -> None:
    least = smallest(case, batch)
    assert planned(case, least, batch).peak_bytes == least
    with pytest.raises(MemoryLimitError) as caught:
        planned(case, least - 1, batch)
    assert caught.value.smallest_bytes == least


def test_where_a_batch_in_parts_needs_less_than_one_image_that_is_the_smallest_limit() -> None:
    case = make_chain(seed=599, blocks=2, batches=(2, 4), axis=0, load_per_mb=0.05, whole=False)
    least = smallest(case, 6)
    assert least < smallest(case, 1)
    assert planned(case, least, 6).batch > 1
    with pytest.raises(MemoryLimitError, match=r"with batch 4 .*; batch 6 needs"):
        planned(case, least - 1, 6)


@QUICK
@given(CASES, BATCHES, st.lists(st.integers(0, 80_000_000), min_size=2, max_size=5))
def test_a_larger_limit_never_gives_a_smaller_batch_or_a_slower_plan(case: Case, batch: int, spare: list[int]) -> None:
    least = smallest(case, batch)
    plans = [planned(case, least + more, batch) for more in sorted(spare)]
    for one, other in itertools.pairwise(plans):
        assert (one.batch, -one.latency_ms) <= (other.batch, -other.latency_ms)


@QUICK
@given(CASES, BATCHES)
def test_the_same_measurements_give_the_same_plan(case: Case, batch: int) -> None:
    limit = smallest(case, batch) + 5_000_000
    assert planned(case, limit, batch) == planned(case, limit, batch)


@QUICK
@given(CASES, BATCHES)
def test_without_a_limit_nothing_is_slower_than_resident(case: Case, batch: int) -> None:
    found = planned(case, None, batch)
    assert found.limit_bytes is None
    least = planned(case, smallest(case, batch), batch)
    if least.batch == found.batch:
        assert found.latency_ms <= 1.03 * least.latency_ms


@pytest.mark.parametrize("seed", [2, 3, 4, 11])
def test_longer_chains_are_planned_soundly_at_any_limit(seed: int) -> None:
    # More combinations than can be tried.
    case = make_chain(seed, 14, forms=("resident", "streamed", "reloaded"))
    least = smallest(case, 4)
    plans = [planned(case, least + more, 4) for more in (0, 10_000_000, 200_000_000)]
    order = [(found.batch, -found.latency_ms) for found in plans]
    assert order == sorted(order)
    with pytest.raises(MemoryLimitError):
        planned(case, least - 1, 4)


def test_the_message_names_the_smallest_limit_rounded_up_and_what_the_batch_needs() -> None:
    case = make_chain(5, 4, forms=("resident", "streamed"))
    with pytest.raises(MemoryLimitError) as caught:
        planned(case, 60_000_000, 4)
    text, least = str(caught.value), caught.value.smallest_bytes
    assert least is not None
    named = -(-least // 100_000) / 10
    assert text.startswith(f"a limit of 60.0 MB cannot be met: pcb needs at least {named:.1f} MB with batch 1 ")
    assert "74.0 MB of it the interpreter and its libraries); batch 4 needs " in text
    assert "\n" not in text
    assert planned(case, round(named * 1e6), 4).batch == 1


def one_block(whole_ms: float, resident_ms: float, streamed_ms: float | None = None) -> Case:
    """One block that is resident, or streamed with nothing to wait for, and the whole graph beside it."""
    forms = [make_form("resident", 4_000_000, resident_ms, 0.0, (1,))]
    if streamed_ms is not None:
        forms.append(make_form("streamed", 0, streamed_ms, 0.0, (1,)))
    values = (
        ValueMeasurement("image", "float32", (1, 3, 32, 32), 0),
        ValueMeasurement("scores", "float32", (1, 3), 0),
    )
    whole = WholeMeasurement(5_000_000, 0, timings(whole_ms, (1,)), (Work(1, 500_000),))
    block = make_block(0, ("image",), ("scores",), forms)
    return make_manifest(("scores",)), Measurements(4, (1,), values, (block,), whole, 0)


@pytest.mark.parametrize(
    ("streamed_ms", "is_whole", "latency_ms"), [(10.0, True, 10.0), (9.8, True, 9.8), (9.6, False, 9.6)]
)
@pytest.mark.parametrize("limit", [None, 10**9])
def test_the_whole_graph_is_one_session_unless_blocks_are_clearly_faster(
    streamed_ms: float, is_whole: bool, latency_ms: float, limit: int | None
) -> None:
    found = planned(one_block(10.0, 10.0, streamed_ms), limit)
    assert found.whole is is_whole
    assert found.latency_ms == pytest.approx(latency_ms)


@pytest.mark.parametrize("limit", [None, 10**9])
def test_a_whole_graph_that_a_busy_machine_measured_slow_is_still_one_session(limit: int | None) -> None:
    found = planned(one_block(40.0, 10.0, 40.0), limit)
    assert found.whole
    assert found.latency_ms == 10.0


def test_a_limit_that_the_whole_graph_does_not_fit_has_blocks() -> None:
    case = one_block(10.0, 10.0, 20.0)
    least = planned(case, None).peak_bytes
    assert planned(case, least).whole
    assert not planned(case, least - 1).whole


def test_the_whole_graph_counts_its_inputs_and_outputs() -> None:
    found = planned(one_block(5.0, 10.0), None)
    assert found.arena_bytes == 12_288 + 4096
    assert [value.name for value in found.values] == ["image", "scores"]
    assert found.peak_bytes == BASE + 12_288 + 4096 + 500_000 + 5_000_000


def test_a_batch_that_does_not_fit_becomes_the_largest_that_does() -> None:
    case = make_chain(5, 4, batches=(1, 2, 4, 8), forms=("resident", "streamed"))
    found = [planned(case, smallest(case, size) + 400_000, 8) for size in (1, 8)]
    assert found[0] == found[1]
    size = found[0].batch
    assert 1 <= size < 8
    limit = found[0].limit_bytes
    assert limit is not None
    fitting = [batch for batch in range(1, 9) if planned(case, limit, batch).batch == batch]
    assert fitting == list(range(1, size + 1))


def test_a_graph_of_a_fixed_batch_is_planned_as_one_unit() -> None:
    case = make_chain(3, 4, batches=(1,), axis=-1)
    found = planned(case, None, 8)
    assert (found.batch, found.micro_batch) == (1, 1)
    assert [value.shape for value in found.values] == [value.shape for value in case[1].values]


def test_values_that_cannot_be_cut_force_whole_batches_of_a_measured_size() -> None:
    case = make_chain(3, 4, batches=(1, 4), axis=1)
    assert [(found.batch, found.micro_batch) for found in (planned(case, None, size) for size in (3, 4, 7))] == [
        (1, 1),
        (4, 4),
        (4, 4),
    ]


def test_a_batch_above_those_measured_goes_through_in_measured_parts() -> None:
    case = make_chain(3, 4, batches=(1, 4))
    found = planned(case, None, 6)
    assert found.batch == 6
    assert found.micro_batch in (1, 4)


def alike(load_ms: float, compute_ms: float = 10.0, count: int = 3) -> Case:
    """Blocks of 4 MB each, resident or streamed."""
    forms = [
        make_form("resident", 4_000_000, compute_ms, 0.0, (1,)),
        make_form("streamed", 4_000_000, compute_ms, load_ms, (1,)),
    ]
    names = ["image", *(f"v{k}" for k in range(count))]
    values = tuple(ValueMeasurement(name, "float32", (1, 64), 0) for name in names)
    blocks = tuple(make_block(k, (names[k],), (names[k + 1],), forms) for k in range(count))
    return make_manifest(names[-1:]), Measurements(4, (1,), values, blocks, None, 0)


def test_blocks_whose_loading_hides_are_not_resident_however_large_the_limit() -> None:
    # Only the first load cannot hide; competition for the cores is what the others cost, here nothing.
    manifest, measurements = alike(2.0, count=5)
    found = planned((manifest, replace(measurements, threads=1)), 10**9)
    assert [block.form for block in found.blocks] == ["resident", *["streamed"] * 4]
    assert found.latency_ms == pytest.approx(50.0)
    assert found.blocks[1].why == "loading hides behind computing"


def test_blocks_that_wait_for_loading_are_resident_if_they_fit() -> None:
    case = alike(40.0)
    assert planned(case, 10**9).count("resident") == 3
    tight = planned(case, smallest(case))
    assert tight.count("streamed") == 3
    assert tight.slots == 2
    assert tight.slot_bytes == 4_001_792
    assert tight.arena_bytes < 2 * 4_001_792 + 4 * 4096 + 1


def test_weights_out_of_cold_storage_take_longer_to_load() -> None:
    case = alike(1.0)
    least = smallest(case)
    warm, cold = planned(case, least), planned(case, least, cached=False)
    assert (warm.blocks[0].load_ms, cold.blocks[0].load_ms) == pytest.approx((1.0, 40.0))
    assert cold.latency_ms > warm.latency_ms


def test_reading_past_the_page_cache_takes_as_much_of_a_core_as_was_measured() -> None:
    manifest, measurements = alike(1.0, compute_ms=100.0, count=5)
    case = manifest, replace(measurements, threads=4)  # all cores compute: the loader takes one from them
    limit = Limit(smallest(case), BASE, 1, cached=False)
    idle = plan(*case, SPEEDS, limit).latency_ms
    busy = plan(*case, replace(SPEEDS, read_cpu=0.5), limit).latency_ms
    assert idle < busy


def test_the_compressed_copy_is_read_where_that_is_faster() -> None:
    manifest, measurements = alike(1.0)
    packed = tuple(replace(block, packed_bytes=2_000_000, unpack_ms=5.0) for block in measurements.blocks)
    case = (manifest, replace(measurements, blocks=packed))
    least = smallest(case)
    assert not any(block.packed for block in planned(case, least).blocks)
    cold = planned(case, least, cached=False)
    assert [(block.packed, block.load_ms) for block in cold.blocks] == [(True, 25.0)] * 3


def test_a_block_with_next_to_no_weights_stays() -> None:
    manifest, measurements = alike(0.1)
    small = replace(measurements.blocks[1], weight_bytes=1000)
    case = (manifest, replace(measurements, blocks=(measurements.blocks[0], small, measurements.blocks[2])))
    found = planned(case, smallest(case))
    assert found.blocks[1].form == "resident"
    assert found.blocks[1].why == "too few weights to move"


def test_a_form_that_computes_slowly_is_avoided_and_the_words_say_why() -> None:
    manifest, measurements = alike(1.0, 7.1)
    slow = make_form("streamed", 4_000_000, 41.0, 1.0, (1,))
    forms = (measurements.blocks[0].forms[0], slow, make_form("reloaded", 4_000_000, 7.1, 2.0, (1,)))
    blocks = tuple(replace(block, forms=forms) for block in measurements.blocks)
    case = (manifest, replace(measurements, blocks=blocks))
    found = planned(case, smallest(case) + 1_000_000)
    assert {block.form for block in found.blocks} == {"reloaded"}
    assert found.blocks[1].why == "streamed computes in 41.0 ms, not 7.1"


def test_a_partial_last_run_costs_between_the_sizes_that_were_measured() -> None:
    forms = [
        dataclasses.replace(make_form("resident", 4_000_000, 1.0, 0.0, (1,)), timings=(Timing(1, 10), Timing(4, 25)))
    ]
    values = tuple(ValueMeasurement(name, "float32", (1, 64), 0) for name in ("image", "a"))
    block = make_block(0, ("image",), ("a",), forms)
    case = (make_manifest(("a",)), Measurements(4, (1, 4), values, (block,), None, 0))
    found = planned(case, None, 6)
    assert found.micro_batch == 4
    assert found.latency_ms == pytest.approx(25 + 15)


def test_a_batch_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="1 or more images"):
        planned(make_chain(1, 2), None, 0)


def test_measurements_that_are_not_complete_are_refused() -> None:
    manifest, measurements = make_chain(1, 2)
    with pytest.raises(EngineError, match="nothing was measured of pcb"):
        planned((manifest, replace(measurements, blocks=())), None)
    bare = replace(measurements.blocks[0], forms=())
    with pytest.raises(EngineError, match=r"block-00.onnx has no form"):
        planned((manifest, replace(measurements, blocks=(bare, measurements.blocks[1]))), None)


def test_the_limit_that_a_plan_names_for_more_speed_gives_it() -> None:
    case = alike(40.0)
    tight = planned(case, smallest(case))
    fastest = planned(case, 10**9).latency_ms
    assert tight.latency_ms > 1.1 * fastest
    assert planned(case, tight.near_bytes).latency_ms <= 1.1 * fastest
    assert planned(case, tight.near_bytes - 1).latency_ms > 1.1 * fastest
