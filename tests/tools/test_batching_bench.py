from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from batching_cases import FLAT, GPU, request
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.batching import AdaptivePolicy, BatchCosts
from edge_runtime.batching.vocabulary import Decision, Priority, Request, State
from edge_tools.batching_bench.__main__ import main
from edge_tools.batching_bench.accuracy import accuracy
from edge_tools.batching_bench.baselines import Aimd, Fixed, Triton
from edge_tools.batching_bench.contest import OURS, play, scenario, score
from edge_tools.batching_bench.services import SERVICES, capacity, scaled
from edge_tools.batching_bench.simulate import Contender, Outcome, Service, simulate
from edge_tools.batching_bench.traces import TRACES, requests

ONE = Service("gpu", GPU, 1, noise=0.0)
TWO = Service("gpu", GPU, 2, noise=0.0)


def _ours() -> Contender:
    return Contender(OURS, AdaptivePolicy(), forecasts=True)


def _fixed(batch: int, timeout: float | None, lanes: int = 1) -> Contender:
    return Contender("fixed", Fixed(BatchCosts(GPU), batch, timeout, lanes))


def _ends(outcome: Outcome) -> dict[int, float]:
    return {r.number: round(at, 6) for r, at in outcome.answers}


def test_a_batch_takes_what_the_table_says() -> None:
    assert _ends(simulate([request(0), request(1)], ONE, _fixed(2, 0.0))) == {0: 7.0, 1: 7.0}


def test_batches_at_the_same_time_slow_each_other_down() -> None:
    # Alone 6 ms, two at a time 11: half of the first is done at 3, the rest takes 5.5; the second then speeds up.
    ends = _ends(simulate([request(0), request(1, at=3.0)], TWO, _fixed(1, 0.0, 2)))
    assert ends[0] == 8.5
    assert ends[1] == pytest.approx(8.5 + 6.0 * 0.5)


def test_a_fixed_batch_waits_until_it_is_full_or_its_time_is_over() -> None:
    arrivals = [request(0), request(1, at=4.0), request(2, at=50.0)]
    full = simulate(arrivals, ONE, _fixed(2, None))
    assert _ends(full) == {0: 11.0, 1: 11.0}
    assert [r.number for r in full.left] == [2]
    timed = simulate(arrivals, ONE, _fixed(2, 3.0))
    assert _ends(timed) == {0: 9.0, 1: 15.0, 2: 59.0} or _ends(timed)[0] == 9.0


def test_triton_sends_a_preferred_size_at_once_and_else_waits_for_its_delay() -> None:
    policy = Triton(BatchCosts(GPU), (4,), 5.0, 1)
    five = State(0.0, tuple(request(n) for n in range(5)), (), GPU)
    assert len(policy.decide(five).run) == 4
    three = State(0.0, five.waiting[:3], (), GPU)
    assert policy.decide(three) == Decision(wake_ms=5.0)
    assert len(policy.decide(State(5.0, three.waiting, (), GPU)).run) == 3


def test_clipper_grows_by_one_and_shrinks_by_a_tenth() -> None:
    policy = Aimd(BatchCosts(GPU), 12.0, 1)
    for expected in (2, 3, 4):
        policy.finished(expected - 1, 5.0)
        assert policy.limit == expected
    policy.finished(2, 5.0)  # was not full: says nothing
    assert policy.limit == 4
    policy.finished(4, 13.0)
    assert policy.limit == pytest.approx(3.6)


def test_urgent_requests_stop_a_background_batch_which_runs_again_later() -> None:
    arrivals = [request(0, allowed=1e6, priority="background"), request(1, at=2.0, priority="urgent")]
    assert _ends(simulate(arrivals, ONE, _ours())) == {1: 8.0, 0: 14.0}


_PRIORITIES: list[Priority] = ["urgent", "normal", "background"]


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from([ONE, TWO, Service("flat", FLAT, 2, 0.05)]))
def test_no_request_is_lost_and_none_is_answered_twice(seed: int, service: Service) -> None:
    chance = random.Random(seed)
    at, arrivals = 0.0, []
    for number in range(40):
        at += chance.expovariate(0.2)
        source, live = chance.choice([("a", True), ("b", True), ("c", False)])
        shape = chance.choice([(), (8,)])
        arrivals.append(
            Request(number, source, at, at + chance.uniform(5, 80), chance.choice(_PRIORITIES), live, shape)
        )
    outcome = simulate(arrivals, service, _ours(), seed, keep=True)
    answered = [r.number for r, _ in outcome.answers]
    dropped = [drop.request.number for drop in outcome.drops]
    assert sorted([*answered, *dropped, *(r.number for r in outcome.left)]) == list(range(40))
    assert not outcome.left or all(r.priority == "background" for r in outcome.left)
    assert simulate(arrivals, service, _ours(), seed).answers == outcome.answers


@pytest.mark.parametrize("name", sorted(TRACES))
def test_a_trace_is_the_same_for_a_seed_and_another_for_another(name: str) -> None:
    first, again, other = (TRACES[name](random.Random(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert list(first.times) == sorted(first.times)


def test_a_scenario_has_the_load_it_says() -> None:
    case = scenario("poisson", "gpu", 0.8, 5)
    rate = (len(case.requests) - 1) / (case.requests[-1].arrived_ms - case.requests[0].arrived_ms)
    most, takes = capacity(case.service, 8)
    assert rate / most == pytest.approx(0.8)
    assert case.allowed_ms >= 2 * takes
    assert capacity(scaled(case.service, 2.0), 8)[0] == pytest.approx(most / 2)


def test_the_forecast_beats_a_threshold_on_cameras() -> None:
    for name in ("steady-4", "steady-16", "jitter", "bursts"):
        found = accuracy(requests(TRACES[name](random.Random(9)), 100.0))
        assert found.forecast > found.threshold + 0.03, name


def test_a_live_camera_is_answered_in_time_by_ours_where_it_can_be() -> None:
    for service in SERVICES:
        assert score(scenario("steady-1", service, 0.8, 7), _ours()).missed == 0


def test_the_command_prints_the_promised_json_and_draws_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "contest.png"
    asked = ["--json", "--traces", "steady-1", "--services", "flat", "--jobs", "1", "--plot", str(picture)]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)["traces"]
    assert len(told) == 4
    for trace in told:
        assert {"name", "best_fixed", "policies"} <= trace.keys()
        assert trace["policies"][0]["name"] == OURS
        for policy in trace["policies"]:
            assert {"name", "throughput", "miss_rate", "p99_ms", "mean_batch"} <= policy.keys()
    assert picture.stat().st_size > 1000


def test_a_trace_that_is_not_there_is_named() -> None:
    done = CliRunner().invoke(main, ["--traces", "steady-5"])
    assert done.exit_code == 2
    assert "steady-5" in done.output


@pytest.mark.parametrize("service", ["gpu", "streamed"])
@pytest.mark.parametrize("seed", [101, 102, 103])
def test_both_bars_hold_on_four_steady_cameras(service: str, seed: int) -> None:
    result = play(scenario("steady-4", service, 0.8, seed))
    assert result.fast_enough
    assert result.sure_enough, (result.ours.missed, result.best.missed)
