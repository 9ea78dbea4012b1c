"""Which settings are tried."""

from hypothesis import given
from hypothesis import strategies as st
from tuning_fakes import space

from edge_devices import Core
from edge_runtime.tune.choice import Choice
from edge_runtime.tune.space import Space, big_cores, default_choice, lane_cores, plainness

CPU = "CPUExecutionProvider"
# Four big cores and four little ones, as an RK3588 has them.
BIG_LITTLE = (*(Core(n, 2400, 1024) for n in (4, 5, 6, 7)), *(Core(n, 1800, 414) for n in (0, 1, 2, 3)))


def test_two_cores_are_one_run_of_two_threads_or_two_of_one():
    found = {(choice.threads, choice.lanes, choice.spinning) for choice in space(2).settings(1)}
    assert found == {(2, 1, False), (2, 1, True), (1, 1, False), (1, 2, False)}


@given(st.integers(1, 64))
def test_every_thread_has_a_core_and_nothing_is_tried_twice(cores):
    found = space(cores).settings(1)
    assert len(set(found)) == len(found)
    assert all(choice.threads * choice.lanes <= cores for choice in found)
    assert any(choice.threads == cores for choice in found)
    assert any(choice.lanes == cores and choice.threads == 1 for choice in found)
    assert not any(choice.spinning and choice.threads == 1 for choice in found)


def test_big_cores_are_used_first():
    assert big_cores(BIG_LITTLE) == (4, 5, 6, 7)
    found = Space(BIG_LITTLE, 8, (1,)).settings(1)
    assert all(set(choice.cores) <= {4, 5, 6, 7} for choice in found)
    assert all(choice.cores for choice in found if choice.threads * choice.lanes < 4)
    assert not any(choice.cores for choice in found if choice.threads * choice.lanes > 4)
    assert {choice.cores for choice in found if (choice.threads, choice.lanes) == (4, 1)} == {(4, 5, 6, 7), ()}


def test_cores_of_one_kind_are_all_big():
    assert big_cores(tuple(Core(n, 1500) for n in range(4))) == (0, 1, 2, 3)
    assert big_cores(tuple(Core(n) for n in range(4))) == (0, 1, 2, 3)


def test_a_clock_tells_where_no_capacity_is_known():
    assert big_cores((Core(0, 1400), Core(1, 2000))) == (1,)


def test_each_lane_has_its_own_cores():
    choice = Choice(2, 2, 1, False, (4, 5, 6, 7))
    assert [lane_cores(choice, lane) for lane in range(2)] == [(4, 5), (6, 7)]
    assert lane_cores(Choice(4, 1, 1, False, (4, 5, 6, 7)), 0) == (4, 5, 6, 7)
    assert lane_cores(Choice(1, 2, 1, False, ()), 1) == ()


def test_lanes_that_fill_the_machine_are_tried_on_cores_of_their_own_too():
    found = space(2, batches=(1, 2)).batched(Choice(1, 2, 1, False, ()))
    assert {(choice.batch, choice.cores) for choice in found} == {(1, ()), (2, ()), (1, (0, 1)), (2, (0, 1))}


def test_a_quota_below_the_cores_keeps_lanes_off_their_own_cores():
    tried = Space(tuple(Core(n) for n in range(8)), 2, (1,))
    assert all(not choice.cores for choice in tried.batched(Choice(1, 2, 1, False, ())))


def test_the_table_has_one_lane_and_every_batch():
    found = space(4, batches=(1, 2)).table(Choice(1, 4, 2, False, ()))
    assert {(choice.lanes, choice.batch) for choice in found} == {(n, b) for n in (1, 2, 4) for b in (1, 2)}


def test_an_accelerator_is_tried_with_one_run_and_with_two():
    found = space(4, providers=("CUDAExecutionProvider", CPU)).settings(1)
    assert [choice.lanes for choice in found if choice.provider != CPU] == [1, 2]


def test_plain_is_what_waits_quietly_then_the_default_then_the_rest():
    default = default_choice(4, 1, CPU)
    quiet = Choice(4, 1, 1, False, ())
    others = space(4).settings(1)
    order = sorted({default, quiet, *others}, key=lambda choice: plainness(default, choice))
    assert order[:2] == [quiet, default]
