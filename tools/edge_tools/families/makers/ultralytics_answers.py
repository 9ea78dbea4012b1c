"""What Ultralytics' own predictor answers, over onnxruntime, beside each model that has no answers yet.

pip install ultralytics==8.4.190 torch torchvision onnxruntime
python ultralytics_answers.py PICTURES MODEL...

Of models that older versions exported, too: those leave out that a letterboxed picture's sides were rounded (8.4.190's
boxes lie where the picture does), and give a model of free size another than 320x320, whatever they are told.

NudeNet's trained model is one of theirs: the wheel nudenet==3.4.2 carries 320n.onnx; call it nudenet-320n@320x320.onnx.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ultralytics import RTDETR, YOLO
from ultralytics.models.yolo.segment import SegmentationPredictor

SIZE = 320


class Whole(SegmentationPredictor):
    """Theirs, with objects that have no pixel: it takes the 300 best and drops those then, so that fewer than 300 would
    not tell that there are more.
    """

    def construct_result(self, *given):
        """Read one picture's answer."""
        self._feats = ()  # with features to follow objects by, which need a row each, it drops none
        try:
            return super().construct_result(*given)
        finally:
            self._feats = None


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def turned(row, picture):
    """A turned box whose sides lie where the letterboxed picture does.

    8.4.190 stretches them as if they ran along the picture's, whose two sides are rounded apart: a needle a thousand
    pixels long ends a pixel beside, half its width.
    """
    x, y, width, height, angle = row
    sides = np.array(picture[1::-1])
    gains = np.round(sides * min(SIZE / sides)) / sides
    ways = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    along, across = ways * np.array([[width], [height]]) * gains[:, None] / gains
    longer = along if width > height else np.array([across[1], -across[0]])
    return [x, y, float(np.hypot(*along)), float(np.hypot(*across)), float(np.arctan2(longer[1], longer[0]))]


def answers(result):
    """One row for each class or object."""
    if getattr(result, "probs", None) is not None:
        return [{"class": int(index), "score": float(result.probs.data[index])} for index in result.probs.top5]
    if getattr(result, "obb", None) is not None:
        found = result.obb.data.cpu().numpy()
        return [
            {"xywhr": turned(row[:5].tolist(), result.orig_shape), "score": float(row[5]), "class": int(row[6])}
            for row in found
        ]
    rows = []
    for index, row in enumerate(result.boxes.data.cpu().numpy()):
        one = {"box": row[:4].tolist(), "score": float(row[4]), "class": int(row[5])}
        if result.keypoints is not None:
            one["points"] = result.keypoints.data[index].cpu().numpy().tolist()
        if result.masks is not None:
            one["mask"] = runs(result.masks.data[index].cpu().numpy() > 0.5)
        rows.append(one)
    return rows


def main():
    """Answer every picture with every model."""
    pictures = sorted(Path(sys.argv[1]).glob("*.jpg"))
    for path in sys.argv[2:]:
        target = Path(path).with_suffix(".answers.json")
        if target.exists():
            continue
        model = (RTDETR if "rtdetr" in path else YOLO)(path)
        rows = {}
        for picture in pictures:
            (result,) = model.predict(
                str(picture), predictor=Whole if model.task == "segment" else None,
                verbose=False, device="cpu", rect=False, retina_masks=True, imgsz=SIZE,
            )  # fmt: skip
            rows[picture.name] = answers(result)
        target.write_text(json.dumps(rows))
        print(target.name, {name: len(found) for name, found in rows.items()}, flush=True)


main()
