"""PaddleOCR's trained text classifier and detector out of the wheel of RapidOCR, and the answers of their own code.

pip install rapidocr-onnxruntime==1.4.4 onnxruntime opencv-python-headless
python paddle_ocr.py PICTURES MODELS
"""

import json
import math
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import rapidocr_onnxruntime


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def classified(session, image):
    """`TextClassifier.resize_norm_img`: 48 pixels high, as wide as it comes up to 192, what is left is 0 after
    (x / 255 - 0.5) / 0.5.
    """
    height, width = image.shape[:2]
    wide = min(192, math.ceil(48 * width / height))
    pixels = np.zeros((1, 3, 48, 192), np.float32)
    pixels[0, :, :, :wide] = (cv2.resize(image, (wide, 48)).astype(np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.5
    (out,) = session.run(None, {session.get_inputs()[0].name: pixels})
    return [{"class": int(out[0].argmax()), "score": float(out[0].max())}]


def detected(session, image):
    """`DetResizeForTest` of PaddleOCR: no side longer than 640, both multiples of 32; the area where the map is above
    0.3.
    """
    height, width = image.shape[:2]
    ratio = min(1.0, 640 / max(height, width))
    size = [max(round(int(side * ratio) / 32) * 32, 32) for side in (width, height)]
    pixels = cv2.resize(image, size).astype(np.float32) / 255
    pixels = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    feed = pixels.transpose(2, 0, 1)[None].astype(np.float32)
    (out,) = session.run(None, {session.get_inputs()[0].name: feed})
    area = cv2.resize((out[0, 0] > 0.3).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return [{"class": 1, "score": 1.0, "mask": runs(area > 0)}] if area.any() else []


def main():
    """Copy the models and answer every picture."""
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    inside = Path(rapidocr_onnxruntime.__file__).parent / "models"
    wanted = (
        ("ch_ppocr_mobile_v2.0_cls_infer.onnx", "paddleocr-cls@192x48", classified),
        ("ch_PP-OCRv4_det_infer.onnx", "paddleocr-det@640x640", detected),
    )
    for file, name, answer in wanted:
        shutil.copy(inside / file, models / f"{name}.onnx")
        session = onnxruntime.InferenceSession(str(inside / file))
        rows = {picture.name: answer(session, cv2.imread(str(picture))) for picture in pictures}
        (models / f"{name}.answers.json").write_text(json.dumps(rows))
        print(name, {key: len(found) for key, found in rows.items()}, flush=True)


main()
