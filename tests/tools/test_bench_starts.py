"""Starts at random limits and runs over many frames: how they are judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_fakes import SMALLEST, install_fakes, order
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import EngineError
from edge_tools.bench.endurance import Endurance, Sample, endure
from edge_tools.bench.process import start_worker
from edge_tools.bench.starts import judge_refusal, limits_to_try, smallest_limit


@given(smallest=st.integers(10**6, 10**10), seed=st.integers(0, 1000))
def test_limits_lie_between_the_smallest_and_its_double_but_for_one_in_ten(smallest: int, seed: int) -> None:
    limits = limits_to_try(smallest, 20, seed)
    below = [limit for limit in limits if limit < smallest]
    assert len(below) <= 2
    assert all(0.9 * smallest - 1 <= limit <= 2 * smallest for limit in limits)
    assert limits == limits_to_try(smallest, 20, seed)


@pytest.mark.parametrize(
    ("limit", "named", "outcome"),
    [(95, 100, "refused"), (95, 104, "refused"), (95, None, "wrong"), (101, 100, "wrong"), (95, 120, "wrong")],
)
def test_a_refusal_is_right_when_it_names_a_true_limit_above(limit: int, named: int | None, outcome: str) -> None:
    assert judge_refusal(limit, 100, named)[0] == outcome


def test_the_smallest_limit_is_what_the_engine_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fakes(monkeypatch, tmp_path)
    assert smallest_limit(order(tmp_path, limit=1), 30.0) == SMALLEST
    with pytest.raises(EngineError, match="did not refuse a limit of 1 byte"):
        smallest_limit(order(tmp_path), 30.0)


def test_growth_is_counted_from_the_first_sample_on() -> None:
    samples = [Sample(1000, 500), Sample(2000, 530), Sample(3000, 510)]
    assert Endurance.of(samples, 600).growth_bytes == 30


def test_memory_is_sampled_after_every_so_many_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fakes(monkeypatch, tmp_path)
    with start_worker(order(tmp_path), "the engine", 30.0, weighed=True) as worker:
        found = endure(worker, 25, 10, 1, tmp_path / "outputs.npz", lambda _text: None)
    assert [sample.frames for sample in found.samples] == [10, 20, 25]
    assert found.peak_bytes >= found.samples[-1].resident_bytes > 0
