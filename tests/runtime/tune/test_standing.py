"""What was asked for, what was measured and what the board's profile says, in that order."""

from dataclasses import replace

import pytest
from tuning_fakes import tuned_of

from edge_devices import Detection, Machine, Match, Profile, ProviderChoice
from edge_runtime.errors import UsageError
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.tune import standing
from edge_runtime.tune.choice import Choice
from edge_runtime.tune.settings import settings_for
from edge_runtime.tune.standing import Asked, find_board, stand
from edge_runtime.tune.store import Found
from edge_runtime.tune.tuned import Trial

OPENVINO = ProviderChoice("OpenVINOExecutionProvider", {"device_type": "CPU"})
XNNPACK = ProviderChoice("XnnpackExecutionProvider")
SHA = "f" * 64


def board(threads=0):
    profile = Profile(
        "bench", "A bench", "x86_64", "a test", Match(), (), (), (), providers=(XNNPACK, OPENVINO), threads=threads
    )
    return Detection(profile, Machine("x86_64", usable_cores=4), "probe", "A bench: it says so")


@pytest.fixture
def tuned(monkeypatch):
    """Let a bundle have a tuned profile with these choices."""
    monkeypatch.setattr(standing, "detect", lambda profile: board())

    def has(latency, throughput):
        profile = replace(tuned_of(Trial(latency, 9.0, 9.0, 100.0, 5)), latency=latency, throughput=throughput)

        def settings(sha, machine, profile_, goal, found=None, *, served=False):
            return settings_for(sha, machine, profile_, goal, Found(profile) if found is None else found, served=served)

        monkeypatch.setattr(standing, "settings_for", settings)

    return has


def test_without_a_tuned_profile_the_boards_own_counts(monkeypatch):
    monkeypatch.setattr(standing, "detect", lambda profile: board(threads=3))
    here = stand(SHA, Asked())
    assert (here.session.threads, here.session.lanes, here.session.device) == (3, 1, "auto")
    assert here.session.providers == (XNNPACK, OPENVINO)
    assert here.batch is None
    assert here.lines()[0] == "device: A bench: it says so"


def test_by_hand_and_within_a_limit_there_are_no_lanes_of_the_profile(monkeypatch):
    bench = board()
    monkeypatch.setattr(
        standing, "detect", lambda profile: replace(bench, profile=replace(bench.profile, one_thread_lanes=True))
    )
    session = stand(SHA, Asked(goal="throughput", served=True)).session
    assert (session.threads, session.lanes) == (1, 4)
    for asked in (Asked(goal="throughput"), Asked(served=True), Asked(goal="throughput", served=True, limited=True)):
        assert (stand(SHA, asked).session.threads, stand(SHA, asked).session.lanes) == (4, 1)
    by_hand = stand(SHA, Asked(goal="throughput", served=True, threads=3)).session
    assert (by_hand.threads, by_hand.lanes) == (3, 1)


def test_what_was_tuned_counts_by_its_goal(tuned):
    tuned(Choice(2, 1, 1, True, (1, 2)), Choice(1, 4, 2, False, (0, 1, 2, 3)))
    soon, many = stand(SHA, Asked()), stand(SHA, Asked(goal="throughput"))
    assert (soon.session.threads, soon.session.lanes, soon.session.spinning, soon.session.cores) == (2, 1, True, (1, 2))
    assert (many.session.threads, many.session.lanes, many.batch) == (1, 4, 2)
    assert many.session.device == "cpu"


def test_a_provider_that_was_the_fastest_is_tried_first(tuned):
    fastest = Choice(4, 1, 1, False, (), OPENVINO.name)
    tuned(fastest, fastest)
    session = stand(SHA, Asked()).session
    assert (session.device, session.providers) == ("auto", (OPENVINO, XNNPACK))


def test_a_flag_wins_and_what_was_measured_together_with_it_falls(tuned):
    tuned(Choice(2, 1, 1, True, (1, 2)), Choice(1, 4, 2, False, (0, 1, 2, 3)))
    threads = stand(SHA, Asked(threads=3, goal="throughput")).session
    assert (threads.threads, threads.lanes, threads.spinning, threads.cores) == (3, 1, False, ())
    lanes = stand(SHA, Asked(lanes=2)).session
    assert (lanes.threads, lanes.lanes) == (2, 2)
    assert stand(SHA, Asked(batch=7, goal="throughput")).batch == 7
    assert stand(SHA, Asked(device="cpu")).session.device == "cpu"


def test_within_a_limit_there_is_one_lane_and_nothing_tuned(tuned):
    tuned(Choice(1, 1, 1, False, ()), Choice(1, 4, 2, False, ()))
    here = stand(SHA, Asked(limited=True, lanes=3, goal="throughput"))
    assert here.session.lanes == 1
    assert here.chosen.tuned is None


def test_a_required_provider_is_not_given_up_for_a_tuned_cpu(tuned):
    tuned(Choice(2, 1, 1, False, (), CPU), Choice(2, 1, 1, False, (), CPU))
    session = stand(SHA, Asked(require_provider="openvino")).session
    assert (session.device, session.require_provider) == ("auto", "openvino")


@pytest.mark.parametrize("asked", [{"device": "abacus"}, {"require_provider": "abacus"}])
def test_what_nobody_knows_is_refused_before_anything_is_opened(asked):
    with pytest.raises(UsageError, match="abacus"):
        Asked(**asked)


def test_an_unknown_board_is_a_usage_error():
    with pytest.raises(UsageError, match="raspberry-pi-5"):
        find_board("raspberry-pi-55")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(threads=3), "settings: 3 threads, as asked"),
        (Asked(lanes=2), "settings: 2 lanes x 2 threads, as asked"),
        (Asked(lanes=2, limited=True), "settings: 4 threads; within a memory limit there is one lane"),
        (
            Asked(lanes=2, threads=1, limited=True),
            "settings: 1 thread, as asked; within a memory limit there is one lane",
        ),
    ],
)
def test_what_flags_decided_is_said_to_be_asked_for(tuned, asked, said):
    tuned(Choice(1, 4, 2, True, (0, 1)), Choice(1, 4, 2, True, (0, 1)))
    assert stand(SHA, asked).lines()[1] == said


def test_threads_step_back_beside_other_work_unless_their_number_was_asked_for(tuned):
    tuned(Choice(2, 1, 1, True, ()), Choice(1, 4, 2, False, ()))
    here = stand(SHA, Asked())
    assert here.session.steps_back
    assert here.lines()[1].endswith("; fewer while other work has the cores and that is faster")
    for asked in (Asked(threads=2), Asked(goal="throughput"), Asked(lanes=2), Asked(limited=True)):
        fixed = stand(SHA, asked)
        assert not fixed.session.steps_back
        assert "fewer" not in fixed.lines()[1]


def test_more_lanes_than_the_cores_can_serve_are_refused(tuned):
    tuned(Choice(1, 1, 1, False, ()), Choice(1, 1, 1, False, ()))
    assert stand(SHA, Asked(lanes=16)).session.lanes == 16
    with pytest.raises(UsageError, match=r"--lanes 17 .* here, 4; give at most 16"):
        stand(SHA, Asked(lanes=17))
