from __future__ import annotations

import json

from batching_cases import request, state

from edge_runtime.batching import AdaptivePolicy, explain_line


def test_a_decision_is_one_line_of_json_with_its_reason() -> None:
    old, new = request(3, "gate", live=True), request(4, "gate", at=5.0, live=True)
    found = state(old, new, now=5.0)
    line = explain_line(found, AdaptivePolicy().decide(found))
    assert "\n" not in line
    told = json.loads(line)
    assert told["at_ms"] == 5.0
    assert (told["waiting"], told["late"], told["lanes"]) == (2, 0, 1)
    assert (told["run"], told["sources"], told["priority"]) == ([4], ["gate"], "normal")
    assert told["drop"] == [[3, "gate", "superseded"]]
    assert told["why"]


def test_a_wait_says_so() -> None:
    told = json.loads(explain_line(state(), AdaptivePolicy().decide(state())))
    assert (told["run"], told["priority"], told["earliest_ms"], told["wake_ms"]) == ([], None, None, None)
