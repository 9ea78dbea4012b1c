"""The exact answer of a model as one short text: records round, this does not; a replay is held to every bit."""

from __future__ import annotations

import hashlib

from edge_runtime.results import Prediction, Result
from edge_runtime.station.rules.apply import Ruled

__all__ = ["answer_digest"]


def answer_digest(result: Result, ruled: Ruled) -> str:
    """Return the SHA-256 of an answer: verdict, reasons, score and the predictions shown, with all their digits."""
    digest = hashlib.sha256()
    shown = (_prediction(result.predictions[number]) for number in ruled.shown)
    for part in (ruled.verdict, *ruled.reasons, _exact(result.score), *shown):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    for name in sorted(result.tensors):
        digest.update(name.encode("utf-8", "surrogatepass") + b"\0" + result.tensors[name].tobytes())
    return digest.hexdigest()


def _prediction(found: Prediction) -> str:
    box, turned, mask = found.box, found.oriented, found.mask
    words = [found.name, str(found.class_id), _exact(found.confidence), _exact(found.area)]
    if box is not None:
        words += [_exact(value) for value in (box.x1, box.y1, box.x2, box.y2)]
    if turned is not None:
        words += [_exact(value) for value in (turned.x, turned.y, turned.width, turned.height, turned.angle)]
    words += [_exact(value) for point in found.points for value in (point.x, point.y, point.confidence)]
    if mask is not None:
        words += [str(mask.left), str(mask.top), str(mask.inside.shape), mask.inside.tobytes().hex()]
    return " ".join(words)


def _exact(value: float | None) -> str:
    return "-" if value is None else float(value).hex()
