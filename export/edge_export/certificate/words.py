"""Figures as people read them; nothing is rounded to more than it is (99.97 % never reads 100 %)."""

from __future__ import annotations

import math

from edge_runtime.bundle.manifest import Latency

__all__ = ["decibel", "machine", "milliseconds", "percent", "plural", "ratio", "score", "signed"]


def percent(fraction: float) -> str:
    """Return 0.984 as "98.4 %"; what is short of 1 stays short of it."""
    value = fraction * 100
    if fraction < 1.0:
        value = min(value, 99.9)
    return "100 %" if fraction == 1.0 else f"{value:.1f} %"


def ratio(value: float) -> str:
    """Return 0.27 as "0.27x"."""
    return f"{value:.2f}x"


def decibel(level: float) -> str:
    """Return a signal-to-noise ratio; equal tensors are cut at 120 dB."""
    return f"{level:.1f} dB"


def milliseconds(time: float) -> str:
    """Return a time with three digits that count."""
    return f"{time:.3g} ms" if time < 100 else f"{time:.0f} ms"


def signed(value: float) -> str:
    """Return a change with its sign, "0" for none."""
    return f"{value:+.4f}" if round(value, 4) else "0"


def score(metric: str, value: float | None) -> str:
    """Return the value of an accuracy row as its kind is read."""
    if value is None or not math.isfinite(value):
        return "-"
    if metric.startswith("sqnr"):
        return decibel(value)
    return f"{value:.3g}" if metric.startswith("max_abs_diff") else f"{value:.4f}"


def machine(latency: Latency) -> str:
    """Return what the times were measured on, with the threads where its name does not tell them."""
    threads = plural(latency.threads, "thread")
    return latency.machine if threads in latency.machine else f"{latency.machine}, {threads}"


def plural(count: int, one: str, many: str = "") -> str:
    """Return "1 image" or "3 images"."""
    return f"{count} {one if count == 1 else many or one + 's'}"
