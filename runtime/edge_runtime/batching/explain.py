"""Every decision as one line of JSON, for --explain-batching.

    {"ts_utc": "2026-01-31T09:30:00.123Z", "at_ms": 1203.4, "waiting": 3, "late": 0, "earliest_ms": 41.2, "running": 1,
     "lanes": 2, "run": [17, 18], "sources": ["gate", "dock"], "priority": "normal", "drop": [[15, "gate",
     "superseded"]], "preempt": false, "wake_ms": null, "why": "..."}

`ts_utc`: when the line was written, `at_ms`: since the first decision. `waiting`, `late`: how many requests wait, and
how many of them are past their deadline. `earliest_ms`: from now to the earliest deadline that has not passed, null if
there is none. `running` of `lanes` lanes are at work. `run`: the numbers of the requests that run now, `sources` their
names, `priority` the batch's (null: nothing runs). `drop`: number, source and reason. `wake_ms`: when, as
`at_ms`, the policy wants to be asked again at the latest.
"""

from __future__ import annotations

import json

from edge_runtime.batching.vocabulary import Decision, State

__all__ = ["explain_line"]


def explain_line(state: State, decision: Decision, ts_utc: str = "", since_ms: float = 0.0) -> str:
    """Return the line, without a newline at its end; times are told from `since_ms` of the server's clock on."""
    ahead = [r.deadline_ms - state.now_ms for r in state.waiting if r.deadline_ms >= state.now_ms]
    told = {
        "ts_utc": ts_utc,
        "at_ms": round(state.now_ms - since_ms, 3),
        "waiting": len(state.waiting),
        "late": len(state.waiting) - len(ahead),
        "earliest_ms": round(min(ahead), 3) if ahead else None,
        "running": len(state.running),
        "lanes": state.lanes,
        "run": [r.number for r in decision.run],
        "sources": [r.source for r in decision.run],
        "priority": decision.run[0].priority if decision.run else None,
        "drop": [[drop.request.number, drop.request.source, drop.reason] for drop in decision.drop],
        "preempt": decision.preempt,
        "wake_ms": None if decision.wake_ms is None else round(decision.wake_ms - since_ms, 3),
        "why": decision.why,
    }
    return json.dumps(told, ensure_ascii=False)
