"""A whole tuning on a machine that exists on paper."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuning_fakes import PaperRig, provenance, space, tuning

from edge_runtime.batching.costs import BatchCosts
from edge_runtime.errors import EngineError
from edge_runtime.tune.batch_costs import tuned_costs
from edge_runtime.tune.choice import Choice
from edge_runtime.tune.contest import PLAIN

LANES = Choice(1, 2, 1, False, ())


def small_model(choice):
    """Two threads give 1.2 times one; two lanes twice one; batches gain a little."""
    one = 100.0 * (1.2 if choice.threads == 2 else 1.0) * (1 + 0.03 * (choice.batch > 1))
    return one * choice.lanes


def tuned_with(rig, tried=None, seconds=60.0, **changes):
    found = tuning(rig, tried or space(rig.default.threads), seconds, **changes)
    found.run()
    return found.result("tiny", "ab" * 32, provenance())


def test_two_lanes_are_found_for_throughput_and_two_threads_for_latency():
    result = tuned_with(PaperRig(small_model))
    assert result.complete
    assert result.throughput.lanes == 2
    assert result.throughput.batch == 2
    assert result.latency == Choice(2, 1, 1, False, ())
    ratios = {duel.goal: duel.ratio for duel in result.duels}
    assert ratios["throughput"] == pytest.approx(206 / 120)
    assert ratios["latency"] == pytest.approx(1.0)


def test_where_nothing_is_faster_the_default_stays_without_its_busy_waiting():
    result = tuned_with(PaperRig(lambda choice: 100.0))
    assert result.latency == result.throughput == Choice(2, 1, 1, False, ())


def test_where_busy_waiting_is_faster_it_stays():
    result = tuned_with(PaperRig(lambda choice: 150.0 if choice.spinning else 100.0))
    assert result.latency == result.throughput == Choice(2, 1, 1, True, ())


@settings(max_examples=40)
@given(st.dictionaries(st.tuples(st.integers(1, 4), st.integers(1, 4), st.booleans()), st.floats(20.0, 200.0)))
def test_without_noise_nothing_slower_than_the_default_is_chosen(speeds):
    def speed(choice):
        return speeds.get((choice.threads, choice.lanes, choice.spinning), 100.0)

    rig = PaperRig(speed, threads=4)
    result = tuned_with(rig, space(4, (1, 2)), 120.0)
    default = speed(rig.default)
    assert speed(result.throughput) >= default
    # One batch at a time: its time is what one image waits for.
    assert speed(result.latency) >= default
    assert result.latency.lanes == 1


@pytest.mark.parametrize("seconds", [5.0, 60.0, 600.0])
def test_it_takes_about_the_time_it_is_given(seconds):
    rig = PaperRig(small_model, noise=0.05)
    before = rig.now
    tuned_with(rig, seconds=seconds)
    assert 0.5 * seconds < rig.now - before < 1.3 * seconds + 2


def test_the_table_has_every_batch_beside_one_and_two_lanes():
    result = tuned_with(PaperRig(small_model))
    wanted = {(lanes, batch) for lanes in (1, 2) for batch in (1, 2, 4, 8)}
    found = {(trial.choice.lanes, trial.choice.batch) for trial in result.trials if trial.choice.threads == 1}
    assert wanted <= found


def test_the_load_is_reported_with_its_first_minute():
    result = tuned_with(PaperRig(small_model), seconds=400.0, celsius=55.0)
    assert result.steady
    assert result.steady_per_s == pytest.approx(206)
    assert result.first_minute_per_s == pytest.approx(206)
    assert result.load_seconds > 60
    assert result.temperature.end_c == 55.0


def test_too_little_time_for_a_steady_state_is_said():
    class Heating(PaperRig):
        """Loses 3 % with every turn."""

        def __call__(self, entrant, seconds):
            self._fall = getattr(self, "_fall", 1.0) * 0.97
            return super().__call__(entrant, seconds)

    rig = Heating(lambda choice: small_model(choice) * rig._fall)
    result = tuned_with(rig, seconds=20.0)
    assert not result.steady
    assert any("steady state" in note for note in result.notes)


@pytest.mark.parametrize("turns", [1, 7, 40, 90])
def test_an_interruption_keeps_what_was_measured(turns):
    rig = PaperRig(small_model)
    rig.stop_after = turns
    found = tuning(rig, space(2))
    found.run()
    result = found.result("tiny", "ab" * 32, provenance())
    assert not result.complete
    assert result.default.images_per_s == pytest.approx(120)
    assert len(rig.turns) == turns
    assert small_model(result.throughput) >= 120


def test_a_stop_at_the_start_of_the_duel_does_not_undo_what_was_found():
    whole = PaperRig(small_model)
    found = tuning(whole, space(2))
    found.run()
    phases = [row["phase"] for row in csv.DictReader(io.StringIO(found.record.csv()))]
    assert "duel" in phases
    winner = found.result("tiny", "ab" * 32, provenance()).throughput
    stopped = PaperRig(small_model)
    again = tuning(stopped, space(2))
    turns = []

    def tell(phase, part):
        turns.append(phase)
        if phase.startswith("confirming") and stopped.stop_after is None:
            stopped.stop_after = len(stopped.turns) + 2

    again.tell = tell
    again.run()
    result = again.result("tiny", "ab" * 32, provenance())
    assert turns[-1].startswith("confirming")
    assert not result.complete
    assert result.duels == ()
    assert result.throughput == winner


def test_an_error_in_the_middle_leaves_what_was_measured():
    class Breaking(PaperRig):
        def __call__(self, entrant, seconds):
            if entrant is PLAIN and len(self.turns) > 30:
                raise EngineError("the card is gone")
            return super().__call__(entrant, seconds)

    found = tuning(Breaking(small_model), space(2))
    with pytest.raises(EngineError, match="the card is gone"):
        found.run()
    assert not found.result("tiny", "ab" * 32, provenance()).complete


def test_nothing_measured_is_nothing_to_keep():
    rig = PaperRig(small_model)
    rig.stop_after = 0
    found = tuning(rig, space(2))
    found.run()
    assert found.result("tiny", "ab" * 32, provenance()) is None


def test_what_does_not_fit_into_memory_is_left_out_and_said():
    rig = PaperRig(small_model)
    rig.broken = {Choice(1, 2, batch, False, cores) for batch in (2, 4, 8) for cores in ((), (0, 1))}
    result = tuned_with(rig)
    assert result.throughput == LANES
    assert any("out of memory" in note for note in result.notes)


def test_a_model_of_a_fixed_batch_is_tuned_at_that_batch():
    result = tuned_with(PaperRig(small_model, batch=4), space(2, batches=(4,)))
    assert {trial.choice.batch for trial in result.trials} == {4}


def test_one_core_has_nothing_to_choose_but_its_batch():
    result = tuned_with(PaperRig(lambda choice: 100.0, threads=1), space(1))
    assert result.latency == result.throughput == Choice(1, 1, 1, False, ())


def test_the_samples_name_the_phase_and_the_setting():
    found = tuning(PaperRig(small_model), space(2))
    found.run()
    rows = list(csv.DictReader(io.StringIO(found.record.csv())))
    assert list(rows[0]) == ["seconds", "phase", "choice", "batch_ms"]
    assert rows[0]["choice"] == "onnxruntime"
    assert {row["phase"] for row in rows} >= {"latency", "throughput", "batches", "load", "duel", "table"}
    assert all(float(row["batch_ms"]) > 0 for row in rows)


def test_noise_alone_changes_nothing():
    """Turns differ by up to 20 %; the settings do not."""
    result = tuned_with(PaperRig(lambda choice: 100.0, noise=0.2), seconds=120.0)
    assert result.throughput.lanes == 1
    assert result.throughput.batch == 1


def test_the_batching_policy_can_read_the_table():
    costs = BatchCosts(tuned_costs(tuned_with(PaperRig(small_model))))
    assert costs.ms(1, 1) == pytest.approx(10.0)
    assert costs.ms(8, 2) == pytest.approx(8000 / 103)
    assert costs.largest == 8
