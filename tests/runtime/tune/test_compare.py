"""Which setting is faster, from rounds in which they took turns."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.tune.choice import Choice
from edge_runtime.tune.compare import beats, pick, ratio

DEFAULT = Choice(2, 1, 1, True, ())
QUIET = Choice(2, 1, 1, False, ())
LANES = Choice(1, 2, 1, False, ())
ORDER = [QUIET, DEFAULT, LANES]


def rounds(*values):
    return dict(enumerate(values))


def test_what_slows_all_of_a_round_down_changes_nothing():
    one = rounds(10.0, 2.0, 30.0, 4.0, 10.0, 1.0)
    other = {number: value / 1.5 for number, value in one.items()}
    found = ratio(one, other)
    assert (found.middle, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))


def test_only_rounds_that_both_took_part_in_count():
    assert ratio({0: 1.0, 1: 3.0}, {1: 1.5, 2: 9.0}).rounds == 1


def test_nothing_in_common_says_nothing():
    found = ratio({0: 1.0}, {1: 1.0})
    assert (found.middle, found.low, found.high) == (1.0, 0.0, math.inf)


def test_the_interval_is_that_of_the_sign_test():
    """Of 10 values 2nd to 9th smallest (confidence 97.9 %), of 20 6th to 15th (95.9 %): tables of the sign test."""
    base = dict.fromkeys(range(20), 1.0)
    ten = ratio(rounds(*range(1, 11)), base)
    assert (ten.low, ten.high) == (2, 9)
    twenty = ratio(rounds(*range(1, 21)), base)
    assert (twenty.low, twenty.high) == (6, 15)


def test_the_interval_has_the_median_in_it_as_often_as_it_says():
    draw = random.Random(1)
    hits = 0
    for _ in range(400):
        found = ratio({k: draw.lognormvariate(0, 0.3) for k in range(15)}, dict.fromkeys(range(15), 1.0))
        hits += found.low <= 1.0 <= found.high
    assert hits >= 0.93 * 400


def test_two_rounds_prove_nothing():
    assert not beats(rounds(9.0, 9.0), rounds(1.0, 1.0))
    assert beats(rounds(9.0, 9.0, 9.0), rounds(1.0, 1.0, 1.0))


def test_a_gain_that_one_round_contradicts_is_noise_while_rounds_are_few():
    assert not beats(rounds(2.0, 2.0, 2.0, 0.9), rounds(1.0, 1.0, 1.0, 1.0))


def test_as_fast_without_busy_waiting_is_taken():
    scores = {DEFAULT: rounds(*[10.0] * 6), QUIET: rounds(*[10.0] * 6), LANES: rounds(*[10.1] * 6)}
    assert pick(scores, ORDER, DEFAULT) == QUIET


def test_a_plain_setting_that_is_slower_than_the_default_is_not_taken():
    scores = {DEFAULT: rounds(*[10.0] * 6), QUIET: rounds(*[9.95] * 6), LANES: rounds(*[5.0] * 6)}
    assert pick(scores, ORDER, DEFAULT) == DEFAULT


def test_what_is_clearly_faster_is_taken():
    scores = {DEFAULT: rounds(*[10.0] * 6), QUIET: rounds(*[10.0] * 6), LANES: rounds(*[11.0] * 6)}
    assert pick(scores, ORDER, DEFAULT) == LANES


def test_noise_does_not_make_a_slow_setting_look_as_good_because_it_is_plain():
    noisy = rounds(6.0, 30.0, 7.0, 8.0)
    plain = Choice(1, 1, 4, False, ())
    scores = {DEFAULT: rounds(*[6.0] * 4), QUIET: rounds(*[6.0] * 4), LANES: rounds(*[11.0] * 4), plain: noisy}
    assert pick(scores, [QUIET, DEFAULT, plain, LANES], DEFAULT, (QUIET,)) == LANES


def test_the_default_gives_way_only_beyond_noise():
    scores = {DEFAULT: rounds(*[10.0] * 4), QUIET: rounds(*[10.0] * 4), LANES: rounds(13.0, 13.0, 13.0, 9.0)}
    assert pick(scores, ORDER, DEFAULT, (QUIET,)) == QUIET


speeds = st.floats(0.5, 2.0)


@given(st.lists(speeds, min_size=3, max_size=3), st.lists(st.floats(0.1, 10.0), min_size=6, max_size=12))
def test_without_noise_nothing_slower_than_the_default_is_ever_picked(relative, weather):
    """Every round has its own weather, which all settings share."""
    by_choice = dict(zip(ORDER, relative, strict=True))
    scores = {choice: {k: speed * w for k, w in enumerate(weather)} for choice, speed in by_choice.items()}
    chosen = pick(scores, ORDER, DEFAULT, (QUIET,))
    assert by_choice[chosen] >= by_choice[DEFAULT] * (1 - 1e-9)
    assert by_choice[chosen] >= max(relative) / 1.0201
