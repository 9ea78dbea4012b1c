"""One frame's outcome as a JSON object: schema 1, one line per frame.

    {"schema": 1, "event_id": "...", "ts_utc": "2026-01-31T09:30:00.123Z", "source": "boards/", "image":
     "boards/3.png" or null, "frame_id": 2, "verdict": "OK" | "NG" | "NO_READ", "reasons": [...],
     "predictions": [{"name", "class", "confidence", "box": {"x1", "y1", "x2", "y2"}}], "timing_ms": {...},
     "model": {...}}

Predictions have Ultralytics' shape, boxes in pixels of the original image. There is no "box" for a class of
the whole image; a segmented region has its "area" (fraction of the image). An object may have "oriented": {"cx",
"cy", "w", "h", "angle"}, its turned box (radians, clockwise in the picture; "box" is then the upright one around it);
"keypoints": {"x": [...], "y": [...], "visible": [...]} (0..1); and, beside its "area", "mask": {"size": [height,
width], "counts": "..."}, COCO's compressed run lengths of the whole picture, which pycocotools.mask.decode reads
(where there is "decoded", of that size). An anomaly model adds "score", a
raw one "tensors" with the shape and type of each. Where several sources are served, "latency_ms" is from the moment
the frame was taken to its verdict, "late" says whether that missed the deadline, and "degraded" lists by what its
source was looked at less well than was asked for. "page", from 1, tells which picture of a file of several it is;
"decoded" is the size in which a picture was looked at that the memory limit leaves no room for.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.trust import UNSIGNED, Trust
from edge_runtime.files.names import stored
from edge_runtime.inspect.rle import compressed, run_lengths
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import OrientedBox, Prediction, Result

__all__ = [
    "SCHEMA",
    "ModelIdentity",
    "Record",
    "Served",
    "event_id",
    "lasting_event_id",
    "make_record",
    "scale_of",
    "to_line",
    "utc_text",
]

SCHEMA = 1

Record = dict[str, Any]

_STEPS = ("read", "preprocess", "inference", "postprocess")


@dataclass(frozen=True)
class ModelIdentity:
    """Which model judged: `sha256` is the bundle's, so that a record names the very bytes that ran.

    `trust` says whether somebody vouches for them, `key` is the id of whose key, "" for nobody's.
    """

    name: str
    version: str
    sha256: str
    precision: str
    trust: str = "unsigned"
    key: str = ""

    @staticmethod
    def of(manifest: Manifest, bundle_sha256: str, trust: Trust = UNSIGNED) -> ModelIdentity:
        """Take the facts from an open bundle."""
        model = manifest.model
        return ModelIdentity(
            model.name, model.version, bundle_sha256, model.precision, trust.word, trust.key if trust.signed else ""
        )


@dataclass(frozen=True)
class Served:
    """When a verdict came: what serving several sources adds to a record.

    `batch`: frames that were judged together, this one included; it is counted, and not recorded.
    """

    latency_ms: float
    late: bool
    degraded: tuple[str, ...] = ()
    batch: int = 1


def event_id(captured: datetime) -> str:
    """Return a version 7 UUID (RFC 9562, 5.7): it sorts by time, which keeps database indexes small."""
    # Written out: the modules uuid and secrets load eight others, a hundredth of a start.
    return _version_7(captured, os.urandom(10))


def lasting_event_id(captured: datetime, words: Sequence[str]) -> str:
    """Return an event id that is the same for the same words: of what is told from everything else by them."""
    import hashlib  # of runs that need it

    return _version_7(captured, hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).digest()[:10])


def _version_7(captured: datetime, bits: bytes) -> str:
    milliseconds = int(captured.timestamp() * 1000) & (2**48 - 1)
    chance = int.from_bytes(bits, "big")
    value = milliseconds << 80 | 7 << 76 | (chance >> 62 & 0xFFF) << 64 | 2 << 62 | chance & 2**62 - 1
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def utc_text(moment: datetime) -> str:
    """Return an aware UTC time as ISO 8601 with milliseconds and Z."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make_record(frame: Frame, result: Result, model: ModelIdentity, served: Served | None = None) -> Record:
    """Return the frame's record: plain JSON values, confidences to 5 digits, pixels and milliseconds to 2."""
    timing = {"read": frame.read_ms, **result.timing_ms}
    steps = {step: round(timing.get(step, 0.0), 2) for step in _STEPS}
    scale = scale_of(frame)
    record: Record = {
        "schema": SCHEMA,
        "event_id": frame.event or event_id(frame.captured),
        "ts_utc": utc_text(frame.captured),
        "source": stored(frame.source),
        "image": None if frame.path is None else stored(frame.path),
        "frame_id": frame.frame_id,
        "verdict": result.verdict,
        "reasons": list(result.reasons),
        "predictions": [_prediction(prediction, frame, *scale) for prediction in result.predictions],
        "timing_ms": {**steps, "total": round(sum(timing.get(step, 0.0) for step in _STEPS), 2)},
        "model": {
            "name": model.name,
            "version": model.version,
            "sha256": model.sha256,
            "precision": model.precision,
            "trust": model.trust,
        },
    }
    if model.key:
        record["model"]["key"] = model.key
    if frame.page is not None:
        record["page"] = frame.page
    if frame.size is not None and frame.image is not None:
        record["decoded"] = {"width": frame.image.shape[1], "height": frame.image.shape[0]}
    if served is not None:
        record["latency_ms"] = round(served.latency_ms, 2)
        record["late"] = served.late
        if served.degraded:
            record["degraded"] = list(served.degraded)
    if result.score is not None:
        record["score"] = round(float(result.score), 5)
    if result.tensors:
        record["tensors"] = {
            name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype)} for name, tensor in result.tensors.items()
        }
    return record


def scale_of(frame: Frame) -> tuple[float, float]:
    """Return by what x and y of a picture's boxes become those of the original."""
    if frame.size is None or frame.image is None:
        return 1.0, 1.0
    return frame.size[1] / frame.image.shape[1], frame.size[0] / frame.image.shape[0]


def _prediction(prediction: Prediction, frame: Frame, across: float, down: float) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": prediction.name,
        "class": int(prediction.class_id),
        "confidence": round(float(prediction.confidence), 5),
    }
    if prediction.box is not None:
        sides = (("x1", across), ("y1", down), ("x2", across), ("y2", down))
        entry["box"] = {side: round(float(getattr(prediction.box, side)) * scale, 2) for side, scale in sides}
    if prediction.area is not None:
        entry["area"] = round(float(prediction.area), 5)
    if prediction.oriented is not None:
        entry["oriented"] = _turned(prediction.oriented, across, down)
    if prediction.points:
        entry["keypoints"] = {
            "x": [round(float(point.x) * across, 2) for point in prediction.points],
            "y": [round(float(point.y) * down, 2) for point in prediction.points],
            "visible": [round(float(point.confidence), 5) for point in prediction.points],
        }
    if prediction.mask is not None and frame.image is not None:
        height, width = frame.image.shape[:2]
        counts = compressed(run_lengths(prediction.mask, width, height))
        entry["mask"] = {"size": [height, width], "counts": counts}
    return entry


def _turned(box: OrientedBox, across: float, down: float) -> dict[str, float]:
    corners = [(x * across, y * down) for x, y in box.corners()]
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = corners
    return {
        "cx": round((x1 + x3) / 2, 2),
        "cy": round((y1 + y3) / 2, 2),
        "w": round(math.hypot(x2 - x1, y2 - y1), 2),
        "h": round(math.hypot(x4 - x1, y4 - y1), 2),
        "angle": round(float(box.angle), 5),
    }


def to_line(record: Mapping[str, Any], ascii_only: bool = False) -> str:
    """Return a record as one line of JSON without its line end. NaN, unknown to JSON, is a ValueError.

    It can be written as UTF-8: bytes of a file's name that are none (lone surrogates in Python) are escaped. With
    `ascii_only` everything that is not ASCII is.
    """
    if not ascii_only:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
        try:
            if line.isascii() or line.encode():
                return line
        except UnicodeEncodeError:
            pass
    return json.dumps(record, allow_nan=False, separators=(", ", ": "))
