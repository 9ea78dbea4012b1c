"""Made-up images of objects with masks and key points, in COCO's own words, for judging by two programs."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from edge_export.evaluate.data import ClassMap
from edge_export.evaluate.data.coco_objects import read_object, truth_of
from edge_export.evaluate.data.outlines import Polygons, mask_of
from edge_export.evaluate.data.truth import Part
from edge_export.evaluate.metrics.objects import BoxTally
from edge_runtime.results import Box, Point, Prediction, Result

SIZE = 200
KINDS = {1: 0, 2: 1, 3: 2}
Entry = dict[str, Any]
Scene = list[tuple[list[Entry], list[Entry]]]  # labelled objects and answers, image by image


def blob(draw: random.Random) -> list[float]:
    """A polygon of a few corners around a point."""
    x, y, corners = draw.randrange(30, 170), draw.randrange(30, 170), draw.randrange(3, 9)
    radii = [draw.randrange(8, 45) for _ in range(corners)]
    turns = [2 * math.pi * place / corners for place in range(corners)]
    return [round(v, 1) for r, t in zip(radii, turns, strict=True) for v in (x + r * math.cos(t), y + r * math.sin(t))]


def moved(draw: random.Random, values: list[float], most: int) -> list[float]:
    return [value + draw.randrange(-most, most + 1) / 2 for value in values]


def box_of(values: Sequence[float]) -> list[float]:
    xs, ys = values[0::2], values[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def mask_scene(images: int = 12) -> Scene:
    """Blobs with near misses, doubles, wrong classes, equal scores and crowds, some of two pieces."""
    draw = random.Random(11)
    scene: Scene = []
    for _ in range(images):
        truth: list[Entry] = []
        answers: list[Entry] = []
        for _ in range(draw.randrange(0, 6)):
            rings = [blob(draw) for _ in range(1 + (draw.random() < 0.3))]
            kind = draw.randrange(1, 4)
            crowd = int(draw.random() < 0.15)
            area = float(sum(mask_of(polygons([ring]), SIZE, SIZE).inside.sum() for ring in rings))
            entry = {"category_id": kind, "segmentation": rings, "bbox": box_of(list(chain(*rings))), "area": area}
            truth.append({**entry, "iscrowd": crowd})
            for _ in range(draw.randrange(0, 4)):
                answers.append(
                    {
                        "category_id": kind if draw.random() < 0.8 else draw.randrange(1, 4),
                        "segmentation": [moved(draw, ring, 8) for ring in rings],
                        "score": round(draw.random(), 2),
                    }
                )
        scene.append((truth, answers))
    return scene


def point_scene(images: int = 12, count: int = 17) -> Scene:
    """Clouds of points: some not labelled, some objects with none, crowds; answers with near misses and doubles."""
    draw = random.Random(5)
    scene: Scene = []
    for _ in range(images):
        truth: list[Entry] = []
        answers: list[Entry] = []
        for _ in range(draw.randrange(0, 6)):
            x, y, size = draw.randrange(20, 120), draw.randrange(20, 120), draw.randrange(20, 70)
            places = [(x + draw.randrange(size), y + draw.randrange(size)) for _ in range(count)]
            bare = draw.random() < 0.15
            seen = [0 if bare else draw.choice((0, 1, 2, 2)) for _ in range(count)]
            kind = draw.randrange(1, 4)
            truth.append(
                {
                    "category_id": kind,
                    "bbox": [x, y, size, size],
                    "area": 0.6 * size * size,
                    "iscrowd": int(draw.random() < 0.1),
                    "num_keypoints": sum(v > 0 for v in seen),
                    "keypoints": [v for (px, py), s in zip(places, seen, strict=True) for v in (px, py, s)],
                }
            )
            for _ in range(draw.randrange(0, 4)):
                spread = draw.choice((2, 6, 12))
                found = [v for px, py in places for v in (*moved(draw, [px, py], spread), 1.0)]
                answers.append(
                    {
                        "category_id": kind if draw.random() < 0.8 else draw.randrange(1, 4),
                        "keypoints": found,
                        "score": round(draw.random(), 2),
                    }
                )
        scene.append((truth, answers))
    return scene


def polygons(rings: list[list[float]]) -> Polygons:
    return Polygons(tuple(np.array(ring).reshape(-1, 2) for ring in rings))


def answered(entry: Entry) -> Prediction:
    """An answer in COCO's words as a Prediction."""
    rings, points = entry.get("segmentation", []), entry.get("keypoints", [])
    flat = list(chain(*rings)) or [v for i in range(0, len(points), 3) for v in points[i : i + 2]]
    x, y, width, height = box_of(flat)
    return Prediction(
        str(entry["category_id"]),
        KINDS[entry["category_id"]],
        entry["score"],
        Box(x, y, x + width, y + height),
        mask=mask_of(polygons(rings), SIZE, SIZE) if rings else None,
        points=tuple(Point(*points[i : i + 3]) for i in range(0, len(points), 3)),
    )


def tally_of(part: Part, scene: Scene) -> BoxTally:
    """Our own tally, which has seen the scene."""
    tally = BoxTally(ClassMap(None, ""), ("a", "b", "c"), 0.25, parts=(part,))
    for truth, answers in scene:
        objects = [read_object(entry, KINDS, "scene", (part,)) for entry in truth]
        count = max((len(one.points) // 3 for one in objects), default=0)
        tally.see(truth_of(objects, count), SIZE, SIZE, Result("OK", (), tuple(answered(one) for one in answers)))
    return tally
