import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.station.parts.decide import INCOMPLETE, View, decide
from edge_runtime.station.parts.gather import Gather
from edge_runtime.station.parts.part import Part
from edge_runtime.store.entries import VERDICTS

RULES = ("worst", "majority", "sharpest", "first_ng")
VIEWS = st.lists(st.builds(View, st.sampled_from(VERDICTS), st.just(()), st.floats(0, 9)), min_size=1, max_size=6)


@given(st.sampled_from(RULES), VIEWS)
def test_a_part_that_was_not_all_seen_is_never_ok(rule, views):
    found = decide(rule, views, complete=False)
    assert found.verdict == ("NG" if any(view.verdict == "NG" for view in views) else "NO_READ")
    assert found.verdict == "NG" or INCOMPLETE in found.reasons


@given(st.sampled_from(RULES), VIEWS)
def test_a_verdict_is_that_of_a_view_and_ok_only_where_one_said_so(rule, views):
    found = decide(rule, views)
    assert found.verdict == views[found.view].verdict
    if rule in ("worst", "first_ng") and found.verdict == "OK":
        assert all(view.verdict == "OK" for view in views)


@given(VIEWS)
def test_the_order_of_views_does_not_matter_to_the_worst_and_the_majority(views):
    for rule in ("worst", "majority"):
        assert len({decide(rule, order).verdict for order in itertools.islice(itertools.permutations(views), 24)}) == 1


@pytest.mark.parametrize(
    ("rule", "words", "verdict"),
    [
        ("worst", "OK NO_READ OK", "NO_READ"),
        ("worst", "NO_READ NG OK", "NG"),
        ("majority", "OK OK NG", "OK"),
        ("majority", "OK NG", "NG"),
        ("majority", "OK NO_READ NO_READ", "NO_READ"),
        ("majority", "NO_READ NO_READ OK OK", "OK"),
        ("sharpest", "NG OK NO_READ", "OK"),
    ],
)
def test_the_rules_come_to_what_they_say(rule, words, verdict):
    views = [View(word, (), sharpness) for sharpness, word in enumerate(words.split())]
    assert decide(rule, views).verdict == verdict


def gathered(rule, frames):
    """`frames`: (part, last, verdict), in order; returns (part, verdict or None, frames)."""
    gather = Gather(rule)
    found = []
    for number, last, verdict in frames:
        found += gather.add(Part(number), last, View(verdict), (number, verdict))
    found += gather.end()
    return [(one.part.number, one.decision and one.decision.verdict, len(one.frames)) for one in found]


def test_a_part_goes_out_with_its_last_frame():
    frames = [(0, False, "OK"), (0, True, "NG"), (1, False, "OK"), (1, True, "OK")]
    assert gathered("worst", frames) == [(0, "NG", 2), (1, "OK", 2)]


def test_the_first_ng_does_not_wait_and_comes_once():
    frames = [(0, False, "NG"), (0, False, "OK"), (0, True, "NG"), (1, True, "OK")]
    assert gathered("first_ng", frames) == [(0, "NG", 1), (1, "OK", 1)]


def test_parts_whose_frames_were_dropped_are_not_forgotten():
    frames = [(0, False, "OK"), (3, True, "OK"), (4, False, "OK")]
    assert gathered("worst", frames) == [(0, "NO_READ", 1), (1, None, 0), (2, None, 0), (3, "OK", 1), (4, "NO_READ", 1)]


@given(st.sampled_from(RULES), st.lists(st.integers(1, 4), max_size=8), st.data())
def test_whatever_is_dropped_each_part_goes_out_once_and_in_order(rule, counts, data):
    frames = [(part, place == count - 1) for part, count in enumerate(counts) for place in range(count)]
    kept = [frame for frame in frames if data.draw(st.booleans())]
    found = gathered(rule, [(*frame, data.draw(st.sampled_from(VERDICTS))) for frame in kept])
    numbers = [number for number, _, _ in found]
    assert numbers == list(range(len(numbers)))
    assert set(numbers) >= {number for number, _ in kept}
    for number, verdict, _ in found:
        if verdict == "OK" and rule in ("worst", "first_ng"):
            assert [frame for frame in kept if frame[0] == number][-1][1]
