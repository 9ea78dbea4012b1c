"""RF-DETR for boxes, masks and key points by its own exporter, with random weights that find something, and answers.

pip install rfdetr[onnx]==1.11.2 torch torchvision onnxruntime
python rfdetr_models.py PICTURES MODELS

The answers are those of `rfdetr`'s own code, without the last class ("nothing"), as its decoder of exported models
leaves that out.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from PIL import Image
from rfdetr import RFDETRKeypointPreview, RFDETRNano, RFDETRSegNano
from rfdetr.export._runtime.preprocess import preprocess_to_nchw
from rfdetr.models.postprocess import PostProcess


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def spread(network, batch):
    """Scale the classes' last layer, so that scores of queries lie on both sides of a threshold."""
    network.eval()
    with torch.no_grad():
        logits = network(batch)["pred_logits"]
        head = network.class_embed
        wide = 2 / logits.std(dim=(0, 1)).mean()
        head.weight *= wide
        head.bias *= wide
        head.bias -= network(batch)["pred_logits"].mean(dim=(0, 1)) + 1
        head.bias[-1] = -8.0  # trained models never answer it


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    for name, kind in {
        "rfdetr-nano": RFDETRNano,
        "rfdetr-seg": RFDETRSegNano,
        "rfdetr-pose": RFDETRKeypointPreview,
    }.items():
        torch.manual_seed(0)
        more = {"num_keypoints_per_class": [5], "num_classes": 1} if "pose" in name else {"num_classes": 3}
        side = 288 if "nano" in name else 312 if "seg" in name else 288
        cells = {"positional_encoding_size": side // (16 if "nano" in name else 12)}
        network = kind(
            pretrain_weights=None, device="cpu", resolution=side, num_queries=40, num_select=40, **cells, **more
        )
        images = [preprocess_to_nchw(Image.open(path), side, side, 3) for path in pictures]
        spread(network.model.model, torch.from_numpy(np.concatenate(images)))
        with tempfile.TemporaryDirectory() as work:
            shutil.move(str(network.export(output_dir=work, verbose=False)), models / f"{name}.onnx")
        session = onnxruntime.InferenceSession(str(models / f"{name}.onnx"))
        rows = {}
        for path in pictures:
            whole = Image.open(path)
            # To bytes, as what reads a camera does.
            small = Image.fromarray(cv2.resize(np.asarray(whole.convert("RGB")), (side, side)))
            given = {session.get_inputs()[0].name: preprocess_to_nchw(small, side, side, 3)}
            out = dict(zip([value.name for value in session.get_outputs()], session.run(None, given)))
            out["labels"][..., -1] = -100.0
            named = {"dets": "pred_boxes", "labels": "pred_logits", "masks": "pred_masks"}
            out = {named[key]: torch.from_numpy(value) for key, value in out.items() if key in named}
            (found,) = PostProcess(num_select=40)(out, torch.tensor([[whole.height, whole.width]]))
            rows[path.name] = []
            for index, box in enumerate(found["boxes"].tolist()):
                row = {"box": box, "score": float(found["scores"][index]), "class": int(found["labels"][index])}
                if row["score"] < 0.2:
                    continue
                if "masks" in found:
                    x1, y1, x2, y2 = np.ceil(np.array(box) - 0.5).astype(int).clip(0)
                    mask = found["masks"][index, 0].numpy()
                    part = np.zeros_like(mask)  # a bundle's masks end at their boxes
                    part[y1:y2, x1:x2] = mask[y1:y2, x1:x2]
                    row["mask"] = runs(part)
                rows[path.name].append(row)
        (models / f"{name}.answers.json").write_text(json.dumps(rows))
        print(name, {key: len(one) for key, one in rows.items()}, flush=True)


main()
