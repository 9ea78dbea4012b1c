"""Which boards are damaged: those of which edge-run says the truth while nothing is wrong with their pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2

from edge_runtime.errors import DataError
from edge_tools.damage.boards import Board, candidates, coloured
from edge_tools.damage.judge import EdgeRun, Said, by_file
from edge_tools.damage.tally import outcome

__all__ = ["choose"]

_SURE = 0.72  # confidence


def choose(pictures: Path, count: int, seed: int, judge: EdgeRun, folder: Path) -> list[Board]:
    """Return at most `count` boards that are NG with nothing but the defect found, and OK without it."""
    offered = candidates(pictures, seed)[: 5 * count]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, board in enumerate(offered):
        cv2.imwrite(str(folder / f"{2 * number:05d}.png"), coloured(board.picture))
        cv2.imwrite(str(folder / f"{2 * number + 1:05d}.png"), coloured(board.clean))
    said = by_file(judge.of(folder))
    found = []
    for number, board in enumerate(offered):
        wrong, right = said.get(f"{2 * number:05d}", []), said.get(f"{2 * number + 1:05d}", [])
        alone = all(_alone(record, board) for record in wrong)
        if wrong and alone and [record.verdict for record in right] == ["OK"]:
            found.append(board)
    if not found:
        raise DataError(f"{pictures}: no board of which the bundle finds the defect, and nothing without it")
    return found[:count]


def _alone(record: Said, board: Board) -> bool:
    """Whether the defect is found, nothing else is, and not by a hair: a good copy must not change the verdict."""
    few = len(record.boxes) <= max(1, len(board.boxes))
    return outcome([record], board.boxes) == "found" and few and (record.sure >= _SURE or len(board.boxes) > 1)
