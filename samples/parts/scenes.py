"""Drawn pictures of objects with masks, key points or turned boxes, and their labels as YOLO's text files.

python samples/parts/scenes.py masks data/masks --count 200
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `python samples/parts/scenes.py`

import click
import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["EDGES", "KINDS", "NAMES", "SIDE", "Drawn", "Scene", "draw_scene", "label_line", "write_set"]

Image = NDArray[np.uint8]  # height x width x 3, BGR
Outline = NDArray[np.float64]  # [n, 2], pixels

SIDE = 160
NAMES = {"masks": ("blob", "star", "bean"), "points": ("person",), "oriented": ("bar", "plate")}
KINDS = tuple(NAMES)
# Between COCO's 17 points: head, arms, trunk, legs.
EDGES = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13),
    (13, 15), (12, 14), (14, 16),
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """One object: its class, the outline [n, 2] of its mask or its box, perhaps `points` [17, 3] x y visibility."""

    class_id: int
    outline: Outline
    points: NDArray[np.float64] | None = None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The upright box x1 y1 x2 y2 around the outline."""
        (x1, y1), (x2, y2) = self.outline.min(axis=0), self.outline.max(axis=0)
        return float(x1), float(y1), float(x2), float(y2)


@dataclass(frozen=True)
class Scene:
    """A picture and what is drawn on it."""

    image: Image
    objects: tuple[Drawn, ...]


def draw_scene(kind: str, seed: int) -> Scene:
    """Draw one picture of SIDE pixels; the same kind and seed give the same one."""
    random = np.random.default_rng([KINDS.index(kind), seed])
    image = _background(random)
    objects: list[Drawn] = []
    for _ in range(int(random.integers(1, 3 if kind == "points" else 5))):
        for _ in range(20):  # until it finds room
            drawn, paint = _DRAW[kind](random)
            x1, y1, x2, y2 = drawn.box
            free = all(x2 < a or c < x1 or y2 < b or d < y1 for a, b, c, d in (one.box for one in objects))
            if free and min(x1, y1) >= 2 and max(x2, y2) <= SIDE - 3:
                paint(image)
                objects.append(drawn)
                break
    noise = random.normal(0, random.uniform(2, 10), image.shape)
    return Scene(np.clip(image + noise, 0, 255).astype(np.uint8), tuple(objects))


def label_line(kind: str, drawn: Drawn) -> str:
    """Return an object as a line of Ultralytics' labels: a polygon, four corners, or a box and its points."""
    if drawn.points is None:
        values = (drawn.outline / SIDE).ravel().tolist()
    else:
        x1, y1, x2, y2 = (side / SIDE for side in drawn.box)
        points = drawn.points / np.array([SIDE, SIDE, 1.0])
        values = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, *points.ravel().tolist()]
    return " ".join([str(drawn.class_id), *(f"{value:.6g}" for value in values)])


def write_set(kind: str, folder: Path, count: int, first: int = 0) -> None:
    """Write `count` pictures from seed `first` on, with labels and data.yaml, as a YOLO data set."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    names = "\n".join(f"  {index}: {name}" for index, name in enumerate(NAMES[kind]))
    shape = "kpt_shape: [17, 3]\n" if kind == "points" else ""
    (folder / "data.yaml").write_text(f"names:\n{names}\n{shape}", encoding="utf-8")
    for seed in range(first, first + count):
        scene = draw_scene(kind, seed)
        cv2.imwrite(str(folder / "images" / f"{seed:05}.png"), scene.image)
        lines = [label_line(kind, one) + "\n" for one in scene.objects]
        (folder / "labels" / f"{seed:05}.txt").write_text("".join(lines), encoding="utf-8")


Random = np.random.Generator
Paint = Callable[[Image], None]


def _background(random: Random) -> Image:
    coarse = random.uniform(60, 190, (int(random.integers(3, 9)), int(random.integers(3, 9)), 3)).astype(np.float32)
    image = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(random.integers(0, 12))):
        start, end = (tuple(int(v) for v in random.integers(0, SIDE, 2)) for _ in range(2))
        cv2.line(image, start, end, _colour(random), int(random.integers(1, 3)), cv2.LINE_AA)
    return np.clip(image, 0, 255).astype(np.uint8)


def _colour(random: Random) -> tuple[float, float, float]:
    blue, green, red = (float(v) for v in random.uniform(20, 235, 3))
    return blue, green, red


def _mask_object(random: Random) -> tuple[Drawn, Paint]:
    kind = int(random.integers(3))
    turns = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    shapes = (
        1 + 0.12 * np.sin(2 * turns + random.uniform(0, 6)) + 0.06 * np.sin(3 * turns + random.uniform(0, 6)),
        1 + 0.42 * np.cos(5 * turns),
        np.where(np.cos(turns) > 0, 1 - 0.72 * np.cos(turns) ** 2, 1.0),
    )
    radius = random.uniform(13, 34) * shapes[kind]
    turn = random.uniform(0, 2 * math.pi)
    centre = random.uniform(15, SIDE - 15, 2)
    outline = centre + np.stack([radius * np.cos(turns + turn), radius * np.sin(turns + turn)], axis=1)
    colour, rim = _colour(random), _colour(random)

    def paint(image: Image) -> None:
        cv2.fillPoly(image, [_fixed(outline)], colour, cv2.LINE_AA, _SHIFT)
        cv2.polylines(image, [_fixed(outline)], True, rim, 1, cv2.LINE_AA, _SHIFT)

    return Drawn(kind, outline), paint


def _turned_object(random: Random) -> tuple[Drawn, Paint]:
    kind = int(random.integers(2))
    length = random.uniform(30, 66)
    width = length * random.uniform(0.18, 0.3) if kind == 0 else length * random.uniform(0.45, 0.65)
    turn = random.uniform(0, math.pi)
    along, across = np.array([math.cos(turn), math.sin(turn)]), np.array([-math.sin(turn), math.cos(turn)])
    centre = random.uniform(15, SIDE - 15, 2)
    halves = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
    outline = np.array([centre + a * length * along + b * width * across for a, b in halves])
    colour, mark = _colour(random), _colour(random)

    def paint(image: Image) -> None:
        cv2.fillPoly(image, [_fixed(outline)], colour, cv2.LINE_AA, _SHIFT)
        ends = [_fixed(centre + side * 0.3 * length * along) for side in (-1, 1)]
        if kind == 0:
            cv2.line(image, _pair(ends[0]), _pair(ends[1]), mark, 2, cv2.LINE_AA, _SHIFT)
        else:
            cv2.circle(image, _pair(_fixed(centre)), int(width * 0.25 * 2**_SHIFT), mark, -1, cv2.LINE_AA, _SHIFT)

    return Drawn(kind, outline), paint


def _person(random: Random) -> tuple[Drawn, Paint]:
    size, turn = random.uniform(58, 100), random.uniform(-0.5, 0.5)
    joints = _joints(random)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    points = joints @ rotation.T * size + random.uniform(25, SIDE - 25, 2)
    seen = np.where(random.random(17) < 0.05, 0.0, 2.0)  # of a few the label says nothing
    skin, left, right, trunk = (_colour(random) for _ in range(4))
    margin = size * 0.05
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    outline = np.array([low, (high[0], low[1]), high, (low[0], high[1])])

    def paint(image: Image) -> None:
        thick = max(2, round(size * 0.045))
        cv2.fillPoly(image, [_fixed(points[[5, 6, 12, 11]])], trunk, cv2.LINE_AA, _SHIFT)
        for start, end in EDGES[4:]:
            colour = trunk if (start, end) in ((5, 6), (11, 12)) else left if end % 2 else right
            cv2.line(image, *(_pair(_fixed(points[i])) for i in (start, end)), colour, thick, cv2.LINE_AA, _SHIFT)
        head = points[:5].mean(axis=0)
        cv2.circle(image, _pair(_fixed(head)), int(size * 0.095 * 2**_SHIFT), skin, -1, cv2.LINE_AA, _SHIFT)
        for index, radius in ((0, 0.018), (1, 0.016), (2, 0.016), (3, 0.022), (4, 0.022)):
            colour = (0, 0, 0) if index == 0 else left if index % 2 else right
            cv2.circle(
                image, _pair(_fixed(points[index])), int(size * radius * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT
            )

    return Drawn(0, outline, np.concatenate([points, seen[:, None]], axis=1)), paint


def _joints(random: Random) -> NDArray[np.float64]:
    """COCO's 17 points of a standing person one high, its middle at 0 0; left ones are odd, on the picture's right."""

    def limb(start: NDArray[np.float64], first: float, second: float, length: float) -> list[NDArray[np.float64]]:
        middle = start + length * np.array([math.sin(first), math.cos(first)])
        return [middle, middle + length * np.array([math.sin(second), math.cos(second)])]

    shoulders = [np.array([side * 0.11, -0.27]) for side in (1, -1)]
    hips = [np.array([side * 0.07, 0.05]) for side in (1, -1)]
    arms = [
        limb(at, s * random.uniform(0.1, 2.2), s * random.uniform(0.1, 2.6), 0.16)
        for at, s in zip(shoulders, (1, -1), strict=True)
    ]
    legs = [
        limb(at, s * random.uniform(0, 0.6), s * random.uniform(0, 0.4), 0.21)
        for at, s in zip(hips, (1, -1), strict=True)
    ]
    face = [(0.0, -0.39), (0.032, -0.42), (-0.032, -0.42), (0.075, -0.405), (-0.075, -0.405)]
    rows = [*face, *shoulders, arms[0][0], arms[1][0], arms[0][1], arms[1][1], *hips]
    return np.array([*rows, legs[0][0], legs[1][0], legs[0][1], legs[1][1]], dtype=np.float64)


_DRAW: dict[str, Callable[[Random], tuple[Drawn, Paint]]] = {
    "masks": _mask_object,
    "points": _person,
    "oriented": _turned_object,
}

_SHIFT = 4  # OpenCV draws to a sixteenth of a pixel


def _fixed(places: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(places * 2**_SHIFT).astype(np.int32)


def _pair(place: NDArray[np.int32]) -> tuple[int, int]:
    return int(place[0]), int(place[1])


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--count", default=200, show_default=True)
@click.option("--first", default=0, show_default=True, help="Seed of the first picture.")
def main(kind: str, folder: Path, count: int, first: int) -> None:
    """Write a data set of KIND to FOLDER."""
    write_set(kind, folder, count, first)


if __name__ == "__main__":
    main()
