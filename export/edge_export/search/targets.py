"""How near to FP32 the outputs must stay, by effort."""

from __future__ import annotations

__all__ = ["RUINED_DB", "RUINED_SHARE", "TARGET_DB", "allowed_loss", "target_db"]

# Noise at a third of the signal: little is left of the answers.
RUINED_DB = 10.0
# Fewer of FP32's answers than other ones.
RUINED_SHARE = 0.5

# Signal to noise that the outputs must keep: at 25 dB detectors lost a point of mAP, at 30 hardly any. A class changes
# with the difference of two logits: at 25 dB 96 of 100 images kept theirs, at 35 dB 98; the rims of masks moved with
# every dB up to 35.
_TARGETS = {"fast": 20.0, "good": 24.0, "best": 30.0}
# Outputs nearer to FP32 than this need no warning.
TARGET_DB = _TARGETS["fast"]
_OF_TASK = {
    "classify": {"fast": 22.0, "good": 30.0, "best": 36.0},
    "detect": {"fast": 22.0, "good": 30.0, "best": 34.0},
    "segment": {"fast": 20.0, "good": 24.0, "best": 35.0},
}

# What agreement may lose for each point that --max-drop allows. A class is right or wrong; a box near the threshold and
# the rim of a mask come and go with noise that leaves mAP and mIoU against labels where they were.
_TOLERANCE = {"detect": 5.0, "segment": 10.0}


def allowed_loss(task: str, max_drop: float) -> float:
    """Return how much of the agreement with FP32 (0..1) may be lost: of classes, of the F1 of boxes and of what objects
    have besides, of masks' mIoU.
    """
    return _TOLERANCE.get(task, 1.0) * max_drop


def target_db(effort: str, task: str = "") -> float:
    """Return the signal to noise ratio (dB) that outputs must keep with this effort; a classifier's are its logits."""
    return _OF_TASK.get(task, _TARGETS)[effort]
