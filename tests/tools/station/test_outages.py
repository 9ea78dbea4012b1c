import random

import pytest
from net_cases import needs_mosquitto

from edge_tools.station.outages import Hooks, run_outages, unlike


@needs_mosquitto
def test_what_nobody_heard_waits_through_kills_and_is_told_once_and_in_order(tmp_path):
    books = run_outages(tmp_path, 100, 1, random.Random(3))
    assert books.wrong == []
    assert books.waited >= 100
    assert books.events == books.heard


@pytest.mark.parametrize(
    ("told", "fault"), [("ab", "2 were told of 3"), ("aab", "number 1"), ("acb", "number 1"), ("abc", "")]
)
def test_what_would_be_wrong_is_found(told, fault):
    assert fault in "".join(unlike(told, "abc"))
    assert bool(fault) == bool(unlike(told, "abc"))


def test_a_receiver_fails_in_every_way():
    hooks = Hooks(random.Random(1), 0.5)
    assert {hooks.answer(b"{}") for _ in range(200)} == {200, 404, 429, 500, 503, None}
