"""Successive halving, on a machine that exists on paper."""

from hypothesis import given
from hypothesis import strategies as st
from tuning_fakes import PaperRig, space

from edge_runtime.tune.contest import PLAIN, Contest, Halving, Round, percentile, score


def contest(rig, goal="throughput", kept=()):
    failures = []
    found = Contest(goal, rig, rig.clock, rig.stop, lambda choice, why: failures.append((choice, why)), kept)
    return found, failures


def by_lanes(choice):
    return 100.0 * choice.lanes + choice.threads


@given(st.integers(1, 16), st.floats(0.5, 60.0), st.integers(1, 4))
def test_the_fastest_comes_first_and_the_default_stays_to_the_end(cores, seconds, final):
    rig = PaperRig(by_lanes, threads=cores)
    held, _ = contest(rig, kept=[rig.default])
    ranked = held.run(space(cores).settings(1), Halving(seconds, final))
    assert rig.default in ranked
    assert ranked[0] == max(ranked, key=by_lanes)
    if not held.untried:
        assert by_lanes(ranked[0]) == max(by_lanes(choice) for choice in [rig.default, *space(cores).settings(1)])


def test_every_round_has_plain_onnxruntime_in_it():
    rig = PaperRig(by_lanes, threads=4)
    held, _ = contest(rig)
    held.run(space(4).settings(1), Halving(10.0, 2))
    for turns in held.turns.values():
        assert turns.keys() <= held.turns[PLAIN].keys()


def test_rounds_do_not_always_begin_with_the_same():
    rig = PaperRig(by_lanes, threads=2)
    held, _ = contest(rig)
    held.duel(space(2).settings(1), 5.0, 6)
    firsts = {rig.turns[k + 1] for k, turn in enumerate(rig.turns[:-1]) if turn is PLAIN}
    assert len(firsts) == 4


def test_what_cannot_run_is_left_out_and_told():
    rig = PaperRig(by_lanes, threads=2)
    entrants = space(2).settings(1)
    rig.broken = {entrants[0]}
    held, failures = contest(rig)
    assert entrants[0] not in held.run(entrants, Halving(5.0, 2))
    assert failures == [(entrants[0], "out of memory")]


def test_slow_models_do_not_make_a_contest_last_for_ever():
    rig = PaperRig(lambda choice: 0.2, threads=16)  # five seconds an image
    held, _ = contest(rig, kept=[rig.default])
    before = rig.now
    ranked = held.run(space(16).settings(1), Halving(10.0, 3))
    assert rig.now - before < 120
    assert held.untried
    assert rig.default in ranked


def test_a_stop_ends_a_contest_with_what_there_is():
    rig = PaperRig(by_lanes, threads=4)
    rig.stop_after = 5
    held, _ = contest(rig)
    ranked = held.run(space(4).settings(1), Halving(10.0, 2))
    assert len(rig.turns) == 5
    assert len(ranked) == 4


def test_a_duel_ends_when_its_rounds_take_far_longer_than_it_has():
    rig = PaperRig(lambda choice: 0.1, threads=2)
    held, _ = contest(rig)
    held.duel(space(2).settings(1), 5.0, 6)
    assert held.rounds == 1


def test_latency_is_the_inverse_of_the_median_batch():
    assert score("latency", Round((1.0, 4.0, 400.0), 9.0)) == 250.0
    assert score("throughput", Round((1.0, 4.0, 400.0), 9.0)) == 9.0


def test_percentiles_are_values_that_were_measured():
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(k) for k in range(1, 101)], 0.95) == 95.0
    assert percentile([5.0], 0.95) == 5.0
