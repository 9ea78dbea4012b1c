"""The exact answer of a model as one short text: records round, this does not; a replay is held to every bit."""

from __future__ import annotations

import hashlib

from edge_runtime.results import Prediction, Result

__all__ = ["answer_digest"]


def answer_digest(result: Result) -> str:
    """Return the SHA-256 of a result: its verdict, reasons, score and predictions with all their digits."""
    digest = hashlib.sha256()
    for part in (result.verdict, *result.reasons, _exact(result.score), *map(_prediction, result.predictions)):
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
