"""The contest as text, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_runtime.errors import OutputError
from edge_tools.batching_bench.accuracy import Accuracy
from edge_tools.batching_bench.contest import OURS, Result, Score

__all__ = ["as_json", "as_text", "plot"]

_BAD, _GOOD, _INK = (60, 60, 200), (90, 150, 60), (40, 40, 40)  # BGR


def as_json(results: Sequence[Result], forecasts: Mapping[str, Accuracy]) -> dict[str, Any]:
    """Return what --json prints: plain values."""
    return {
        "traces": [
            {
                "name": result.scenario.name,
                "trace": result.scenario.trace,
                "service": result.scenario.service.name,
                "load": result.scenario.load,
                "seed": result.scenario.seed,
                "deadline_ms": result.scenario.allowed_ms,
                "best_fixed": _score(result.best),
                "fixed_of_most_throughput": _score(result.fastest),
                "fixed_of_fewest_misses": _score(result.surest),
                "policies": [_score(score) for score in (result.ours, *result.others)],
                "throughput_bar": result.fast_enough,
                "miss_bar": result.sure_enough,
            }
            for result in results
        ],
        "forecasts": {
            name: {"forecast": found.forecast, "threshold": found.threshold} for name, found in forecasts.items()
        },
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        "name": score.name,
        "throughput": score.throughput,
        "goodput": score.goodput,
        "miss_rate": score.miss_rate,
        "p99_ms": score.p99_ms,
        "mean_batch": score.mean_batch,
    }


def as_text(results: Sequence[Result], forecasts: Mapping[str, Accuracy]) -> str:
    """Return the table: answers per second and percent missed, policy beside policy."""
    if not results:
        return "nothing was played"
    others = [score.name for score in results[0].others]
    head = ["trace service load", "seed", OURS, "best fixed", *others, "best fixed setting", "bars"]
    rows = [head]
    for result in results:
        bars = "both" if result.fast_enough and result.sure_enough else ""
        bars = bars or ("throughput only" if result.fast_enough else "misses only" if result.sure_enough else "neither")
        cells = [_cell(score) for score in (result.ours, result.best, *result.others)]
        rows.append([result.scenario.name, str(result.scenario.seed), *cells, result.best.name, bars])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["answers per second, part of the requests not answered in time", ""]
    for row in rows:
        cells = [
            text.rjust(width) if 2 <= at < len(head) - 2 else text.ljust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, "", *_forecast_lines(forecasts), *_hidden(results), _spread(results), summary(results)])


def _forecast_lines(forecasts: Mapping[str, Accuracy]) -> list[str]:
    lines = [
        "will the next request come within 0.3, 0.7, 1.5, 3 mean gaps: right answers of the forecast, of a threshold"
    ]
    return lines + [f"  {name:<15} {found.forecast:6.1%} {found.threshold:6.1%}" for name, found in forecasts.items()]


def _hidden(results: Sequence[Result]) -> list[str]:
    """Return how ours compares with the settings that are best at one thing alone."""
    most = min(result.ours.throughput / max(result.fastest.throughput, 1e-9) for result in results)
    fewer = sum(result.ours.missed <= result.surest.missed for result in results)
    return [
        "",
        f"against the fixed setting of most throughput alone: at least {most:.3f} of it everywhere; against that of "
        f"fewest misses alone: not above in {fewer} of {len(results)}",
    ]


def _spread(results: Sequence[Result]) -> str:
    """Return the ranges over everything that was played, seeds included."""
    throughput = [result.ours.throughput / max(result.best.throughput, 1e-9) for result in results]
    misses = [100 * (result.ours.miss_rate - result.best.miss_rate) for result in results]
    return (
        f"throughput over the best fixed setting's {min(throughput):.3f} to {max(throughput):.3f}, median "
        f"{float(np.median(throughput)):.3f}; misses less its {min(misses):+.2f} to {max(misses):+.2f} points, median "
        f"{float(np.median(misses)):+.2f}"
    )


def summary(results: Sequence[Result]) -> str:
    """Return the last line."""
    fast = sum(result.fast_enough for result in results)
    sure = sum(result.sure_enough for result in results)
    near = sum(result.ours.miss_rate <= result.best.miss_rate + 0.005 for result in results)
    both = sum(result.fast_enough and result.sure_enough for result in results)
    return (
        f"{OURS} meets both bars in {both} of {len(results)}: throughput >= 0.95 of the best fixed setting's in "
        f"{fast}, misses <= its in {sure} (at most 0.5 points above in {near})"
    )


def _cell(score: Score) -> str:
    return f"{score.throughput:.1f} {score.miss_rate:6.1%}"


def plot(results: Sequence[Result], path: Path) -> None:
    """Write a picture (its kind by the name's ending): for each scenario how many more, in points, each policy misses
    than the best fixed setting. Raises OutputError."""
    row, left, width = 22, 290, 900
    image = np.full((row * (len(results) + 3), left + width + 40, 3), 255, np.uint8)
    scale = max([5.0, *(100 * (s.miss_rate - r.best.miss_rate) for r in results for s in (r.ours, *r.others))])
    zero = left + width // 10

    def text(words: str, x: int, y: int, colour: tuple[int, int, int] = _INK) -> None:
        cv2.putText(image, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)

    text(f"points missed more than the best fixed setting (to {scale:.0f}); dot: {OURS}, ticks: the others", 10, row)
    for number, result in enumerate(results, 2):
        y = row * number
        text(f"{result.scenario.name}  seed {result.scenario.seed}", 10, y + 4)
        cv2.line(image, (zero, y - row // 2), (zero, y + row // 2), (200, 200, 200), 1)
        for score in result.others:
            x = zero + int(0.9 * width * max(-10.0, 100 * (score.miss_rate - result.best.miss_rate)) / scale)
            cv2.line(image, (x, y - 5), (x, y + 5), (190, 150, 110), 2)
        x = zero + int(0.9 * width * max(-10.0, 100 * (result.ours.miss_rate - result.best.miss_rate)) / scale)
        cv2.circle(image, (x, y), 5, _GOOD if result.sure_enough and result.fast_enough else _BAD, -1, cv2.LINE_AA)
    try:
        good = cv2.imwrite(str(path), image)
    except cv2.error as error:
        raise OutputError(f"cannot write {path}: expected a name that ends in .png or .jpg; choose another") from error
    if not good:
        raise OutputError(f"cannot write {path}; choose a folder that exists and can be written")
