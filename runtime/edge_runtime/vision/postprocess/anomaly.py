"""How unlike the good parts an image is, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Anomaly
from edge_runtime.errors import EngineError
from edge_runtime.results import Prediction
from edge_runtime.vision.class_names import anomaly_name
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.seen import Seen
from edge_runtime.vision.postprocess.tensors import check_finite, check_scores, floats, output_name, split
from edge_runtime.vision.postprocess.window import Window
from edge_runtime.vision.settings import Settings

__all__ = ["anomaly"]


def anomaly(
    spec: Anomaly,
    facts: ModelFacts,
    outputs: Mapping[str, NDArray[np.generic]],
    placements: Sequence[Placement],
    settings: Settings,
) -> list[Seen]:
    """Report the score, the heat map 0..255, and each connected region at or above the confidence threshold.

    A region's confidence is its maximum. Without a score output the map's maximum over the image (not over
    the letterbox padding) is the score.
    """
    maps = whole = scores = None
    if spec.has_map:
        raw, output = _maps(facts, spec.map_output, outputs, len(placements))
        maps = _scaled(spec, raw, output, spec.map_threshold, spec.map_span)
        apart = not spec.score_output and (spec.map_threshold is not None or spec.map_span is not None)
        whole = _scaled(spec, raw, output) if apart else maps  # its maximum is the score, scaled as one
    if spec.score_output:
        scores = floats(split(outputs, spec.score_output, len(placements)), spec.score_output)
        if scores.size != len(placements):
            raise EngineError(
                f"expected one score per image in output {spec.score_output!r}, "
                f"found shape {list(scores.shape)}; "
                f"name another output when exporting"
            )
        scores = _scaled(spec, scores.reshape(-1), spec.score_output)
    if maps is None or whole is None:
        return [Seen(predictions=(), judged=(), score=float(score)) for score in ([] if scores is None else scores)]
    name = anomaly_name(facts.labels)
    return [
        _report(spec, name, maps[index], whole[index] if scores is None else float(scores[index]), place, settings)
        for index, place in enumerate(placements)
    ]


def _maps(
    facts: ModelFacts, output: str, outputs: Mapping[str, NDArray[np.generic]], count: int
) -> tuple[NDArray[np.float32], str]:
    """The maps as the graph gives them, and the output's name."""
    name = output_name(facts, output)
    maps = floats(split(outputs, name, count), name)
    if maps.ndim == 4 and 1 in (maps.shape[1], maps.shape[3]):
        maps = maps.squeeze(1 if maps.shape[1] == 1 else 3)
    if maps.ndim != 3:
        raise EngineError(
            f"expected an anomaly map [N, 1, H, W] or [N, H, W] in output {name!r}, "
            f"found {list(maps.shape)}; "
            f"export again with the right --task"
        )
    return maps, name


def _scaled(
    spec: Anomaly, raw: NDArray[np.float32], name: str, threshold: float | None = None, span: float | None = None
) -> NDArray[np.float32]:
    """Raw scores as 0..1. `threshold` and `span` are used instead of the spec's own where they are told."""
    if spec.normalize:
        low = spec.raw_threshold if threshold is None else threshold
        with np.errstate(all="ignore"):  # limits that float32 cannot hold give NaN or infinity
            width = np.float32(spec.maximum - spec.minimum if span is None else span)
            raw = (raw - np.float32(low)) / width + np.float32(0.5)
        check_finite(raw, name)
    else:
        check_scores(raw, name, "none")
    return raw.clip(0.0, 1.0)


def _report(
    spec: Anomaly,
    name: str,
    cells: NDArray[np.float32],
    score: float | NDArray[np.float32],
    place: Placement,
    settings: Settings,
) -> Seen:
    """`score` may be a map whose maximum it is."""
    window = Window(place, *cells.shape)
    least = spec.min_area if settings.min_area is None else settings.min_area
    shown = cells[window.cells]
    class_id = 1  # 0 is the good part, as in the labels ("normal", "anomalous")
    judged = tuple(
        Prediction(
            name, class_id, float(shown[region.rows, region.columns][region.inside].max()), region.box, region.area
        )
        for region in window.regions(shown >= settings.confidence, least)
    )
    return Seen(
        predictions=judged[: settings.max_det],
        judged=judged,
        score=score if isinstance(score, float) else float(score[window.cells].max()),
        mask=window.smooth(np.rint(cells * 255).astype(np.uint8)),
    )
