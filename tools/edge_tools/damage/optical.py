"""What a camera shows when light, lens or mount are at fault. The files are whole; limits are learnt from good ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from edge_tools.damage.boards import Board, coloured

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OPTICAL", "good_pictures", "spoilt"]

Gray = Any  # float32 [height, width]


def good_pictures(board: Board, count: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield pictures of one board without a defect, as a line gives them: light, place and noise vary a little."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield _taken(board.clean.astype(np.float32), rng)


def spoilt(board: Board, kind: str, severity: float, seed: int) -> NDArray[np.uint8]:
    """Return a picture of the board with its defect that a spoilt camera takes, BGR."""
    rng = np.random.default_rng(seed)
    return _taken(OPTICAL[kind](board.picture.astype(np.float32), severity, rng, board), rng)


def _taken(gray: Gray, rng: np.random.Generator) -> NDArray[np.uint8]:
    placed = np.roll(gray, tuple(rng.integers(-1, 2, 2).tolist()), axis=(0, 1))
    noisy = placed * rng.uniform(0.97, 1.03) + rng.normal(0, 1.5, gray.shape)
    return coloured(cast("NDArray[np.uint8]", noisy.clip(0, 255).astype(np.uint8)))


def _flat(level: float) -> Callable[..., Gray]:
    return lambda gray, severity, rng, board: np.full_like(gray, level)


def _under(gray: Gray, severity: float, rng: np.random.Generator, board: Board) -> Gray:
    return gray * (0.5 * (1 - severity))


def _over(gray: Gray, severity: float, rng: np.random.Generator, board: Board) -> Gray:
    return np.minimum(gray * (1.5 + 8 * severity), 255)


def _blurred(gray: Gray, severity: float, rng: np.random.Generator, board: Board) -> Gray:
    return cv2.GaussianBlur(gray, (0, 0), 2 + 18 * severity)


def _shaken(gray: Gray, severity: float, rng: np.random.Generator, board: Board) -> Gray:
    size = 5 + int(60 * severity)
    return cv2.blur(gray, (size, 1) if rng.random() < 0.5 else (1, size))


def _shifted(gray: Gray, severity: float, rng: np.random.Generator, board: Board) -> Gray:
    """The scene is moved so far that what enters is the empty belt."""
    away = 20 + severity * 500
    angle = rng.uniform(0, 2 * np.pi)
    move = np.array([[1, 0, away * np.cos(angle)], [0, 1, away * np.sin(angle)]], np.float32)
    return cv2.warpAffine(gray, move, gray.shape[::-1], borderValue=90.0)


def _turned(gray: Gray, severity: float, rng: np.random.Generator, board: Board) -> Gray:
    height, width = gray.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 4 + 60 * severity, 1.0)
    return cv2.warpAffine(gray, turn, (width, height), borderValue=90.0)


def _covered(gray: Gray, severity: float, rng: np.random.Generator, board: Board) -> Gray:
    """Something dark and soft lies over the defect and around it."""
    box = board.boxes[0]
    cover = np.zeros_like(gray)
    radius = 30 + 300 * severity
    cv2.circle(cover, (int((box.x1 + box.x2) / 2), int((box.y1 + box.y2) / 2)), int(radius), 1.0, -1)
    cover = cv2.GaussianBlur(cover, (0, 0), 6)
    return gray * (1 - cover) + 60 * cover


def _glare(gray: Gray, severity: float, rng: np.random.Generator, board: Board) -> Gray:
    """A lamp mirrored where the defect is."""
    box = board.boxes[0]
    y, x = np.mgrid[0 : gray.shape[0], 0 : gray.shape[1]]
    far = np.hypot(x - (box.x1 + box.x2) / 2, y - (box.y1 + box.y2) / 2)
    return np.minimum(gray + 600 * np.exp(-((far / (40 + 160 * severity)) ** 2)), 255)


OPTICAL: dict[str, Callable[[Gray, float, np.random.Generator, Board], Gray]] = {
    "black": _flat(2),
    "white": _flat(254),
    "gray": _flat(128),
    "too dark": _under,
    "too bright": _over,
    "out of focus": _blurred,
    "shaken": _shaken,
    "shifted": _shifted,
    "turned": _turned,
    "covered in part": _covered,
    "glare": _glare,
}
