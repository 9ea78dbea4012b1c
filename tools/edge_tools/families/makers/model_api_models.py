"""Small models of each kind that model_api has, with the metadata that it writes, and its own answers to them.

pip install torch openvino-model-api[onnx]==0.4.7 onnx onnxruntime opencv-python-headless
python model_api_models.py PICTURES MODELS [NAME...]

The networks are made here, with random weights over real pictures; `model_info` is written by model_api's adapter for
ONNX, and the answers are those of the type that it names, over onnxruntime (anomalies over OpenVINO).
"defaults" has of `model_info` nothing but the type and the labels. Its other types of detectors 0.4.7 itself does not
run on pictures: YOLO, YOLOV4 and YOLOF end in an AttributeError, YOLOX (of fixed size) in a KeyError.
"""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from model_api.adapters import ONNXRuntimeAdapter
from model_api.adapters.inference_adapter import InferenceAdapter
from model_api.models import Model
from torch import nn

SIZE = 256
LOW = 0.3  # of scores, in the metadata, too
IMAGENET = {"mean_values": [123.675, 116.28, 103.53], "scale_values": [58.395, 57.12, 57.375]}
RGB = {"reverse_input_channels": True}
UNIT = {"scale_values": [255.0, 255.0, 255.0], **RGB}


# The adapter by another name: model_api lets only some types run by it; for the others OpenVINO resizes otherwise.
Anywhere = type("Anywhere", (InferenceAdapter,), dict(vars(ONNXRuntimeAdapter)))


class Features(nn.Module):
    """What a picture is like, on a grid of cells of 16 pixels."""

    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 7, 4, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 5, 4, 2), nn.BatchNorm2d(24),
            nn.ReLU(), nn.Conv2d(24, channels, 3, 1, 1), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, pixels):
        """[N, 3, 256, 256] to [N, channels, 16, 16]."""
        return self.layers(pixels)


class Whole(nn.Module):
    """Scores of the picture."""

    def __init__(self, classes, last=None):
        super().__init__()
        self.features, self.last = Features(classes), last

    def forward(self, pixels):
        out = 4 * self.features(pixels).mean((2, 3))
        return out if self.last is None else self.last(out)


class Areas(nn.Module):
    """Scores of each pixel."""

    def __init__(self, classes, last):
        super().__init__()
        self.features, self.last = Features(classes), last
        nn.init.constant_(self.features.layers[-1].weight, 2)

    def forward(self, pixels):
        out = nn.functional.interpolate(self.features(pixels), scale_factor=16, mode="bilinear")
        return self.last(out)


class Largest(nn.Module):
    """The best class of each pixel."""

    def __init__(self, four):
        super().__init__()
        self.four = four

    def forward(self, scores):
        return scores.argmax(1, keepdim=self.four)


class Boxes(nn.Module):
    """The best cells' boxes, of one that is as wide as its neighbours; with masks of 28x28, or of the whole picture."""

    def __init__(self, batch, kind):
        super().__init__()
        self.features, self.batch, self.kind = Features(12), batch, kind

    def forward(self, pixels):
        out = self.features(pixels)[0].flatten(1)
        score, label = out[:3].sigmoid().max(0)
        score, best = score.topk(12)
        across, down = (best % 16).float() * 16 + 8, torch.div(best, 16, rounding_mode="floor").float() * 16 + 8
        wide, high = 20 + 30 * out[3, best].sigmoid(), 20 + 30 * out[4, best].sigmoid()
        box = torch.stack([across - wide, down - high, across + wide, down + high], 1).clamp(0, SIZE)
        label = label[best]
        if self.kind == "single":
            rows = torch.stack([torch.zeros(12), label.float(), score, *(box / SIZE).unbind(1)], 1)
            return rows[None, None]
        if self.kind == "multiple":
            return box[None] / SIZE, score[None], label[None]
        rows = torch.cat([box, score[:, None]], 1)
        side = {"boxes": 28, "image": 64}.get(self.kind)
        given = (rows, label) if side is None else (rows, label, self.masks(out, best, box, side))
        return tuple(one[None] for one in given) if self.batch else given

    def masks(self, out, best, box, side):
        """Discs: in their boxes, or in the picture."""
        line = (torch.arange(side) + 0.5) / side
        if self.kind == "boxes":
            size = 0.3 + 0.2 * out[5, best].sigmoid()
            far = ((line[None, :, None] - 0.5) ** 2 + (line[None, None] - 0.5) ** 2).sqrt()
            return (8 * (size[:, None, None] - far)).sigmoid()
        middle = (box[:, :2] + box[:, 2:]) / (2 * SIZE)
        far = ((line[None, None] - middle[:, :1, None]) ** 2 + (line[None, :, None] - middle[:, 1:, None]) ** 2).sqrt()
        return (40 * (0.08 - far)).sigmoid()


class Yolo(nn.Module):
    """Ultralytics' rows, and their prototypes' weights where there are masks."""

    def __init__(self, masks=False):
        super().__init__()
        self.features, self.masks = Features(11), masks

    def forward(self, pixels):
        out = self.features(pixels)[0].flatten(1)
        place = torch.arange(256)
        middle = torch.stack([(place % 16) * 16 + 8, torch.div(place, 16, rounding_mode="floor") * 16 + 8])
        size = (18 + 14 * out[:2].sigmoid()) * (3 if self.masks else 1)
        rows = torch.cat([middle + 8 * out[2:4].tanh(), size, (out[4:7] - 2).sigmoid()])[None]
        if not self.masks:
            return rows
        line = torch.linspace(-3, 3, 64)
        waves = [torch.ones(64, 64), line.sin().expand(64, 64), line.sin()[:, None].expand(64, 64)]
        return torch.cat([rows, torch.cat([out[7:8].abs() + 0.5, out[8:10]])[None]], 1), torch.stack(waves)[None]


class Odd(nn.Module):
    """How unlike pixels are."""

    def __init__(self, kind):
        super().__init__()
        self.features, self.kind = Features(1), kind

    def forward(self, pixels):
        cells = nn.functional.interpolate(self.features(pixels), scale_factor=16, mode="bilinear") * 3 + 20
        if self.kind == "raw":
            return cells
        cells = ((cells - 24) / 20 + 0.5).clamp(0, 1)
        score = cells.amax((1, 2, 3))
        return score, score > 0.5, cells, cells > 0.5


class Points(nn.Module):
    """SimCC's two lines for each key point: a peak, as wide as it is trained, where the point lies."""

    def __init__(self):
        super().__init__()
        self.features = Features(5)

    def forward(self, pixels):
        cells = (2 * self.features(pixels)).flatten(2).softmax(2).reshape(-1, 5, 16, 16)
        sure = 0.04 + 0.03 * cells.amax((2, 3))[..., None]
        line = torch.arange(2 * SIZE)
        middles = [(cells.sum(axis) * torch.arange(8, SIZE, 16)).sum(2, keepdim=True) for axis in (2, 3)]
        return tuple(sure * (-((line - 2 * middle) ** 2) / 72).exp() for middle in middles)


def names(count):
    """Labels as model_api writes them."""
    return [f"kind_{number}" for number in range(count)]


def softmax():
    return nn.Softmax(1)


ANOMALY = {"image_threshold": 24.0, "pixel_threshold": 22.0, "normalization_scale": 20.0,
           "labels": ["Normal", "Anomaly"], **UNIT, "task": "segmentation"}  # fmt: skip
SEEN = ["pred_score", "pred_label", "anomaly_map", "pred_mask"]
# Name: the type, what is in model_info beside it, the network, the names of its outputs.
KINDS = {
    "class-logits": ("Classification", {"labels": names(4), **IMAGENET, **RGB}, lambda: Whole(4), ["logits"]),
    "class-softmax": ("Classification", {"labels": names(4), **UNIT}, lambda: Whole(4, softmax()), ["scores"]),
    "class-several": ("Classification", {"labels": names(4), "multilabel": True, "confidence_threshold": 0.5, **UNIT},
                      lambda: Whole(4), ["logits"]),
    "segment-logits": ("Segmentation", {"labels": names(3), **UNIT}, lambda: Areas(4, nn.Identity()), ["out"]),
    "segment-indices": ("Segmentation", {"labels": names(3), **UNIT}, lambda: Areas(4, Largest(False)), ["out"]),
    "segment-indices-4d": ("Segmentation", {"labels": names(3), **UNIT}, lambda: Areas(4, Largest(True)), ["out"]),
    "segment-soft": ("Segmentation", {"labels": names(3), "soft_threshold": 0.5, **UNIT},
                     lambda: Areas(4, nn.Softmax(1)), ["out"]),
    "ssd-rows": ("SSD", {"labels": names(3), **UNIT}, lambda: Boxes(True, "single"), ["detection_out"]),
    "ssd-apart": ("SSD", {"labels": names(3), **UNIT}, lambda: Boxes(True, "multiple"), ["bboxes", "scores", "labels"]),
    "ssd-boxes-labels": ("SSD", {"labels": names(3), **UNIT, "resize_type": "fit_to_window_letterbox",
                                 "pad_value": 114},
                         lambda: Boxes(True, ""), ["boxes", "labels"]),
    "maskrcnn": ("MaskRCNN", {"labels": ["otx_empty_lbl", *names(3)], **IMAGENET, **RGB},
                 lambda: Boxes(True, "boxes"), ["boxes", "labels", "masks"]),
    "maskrcnn-one-picture": ("MaskRCNN", {"labels": ["otx_empty_lbl", *names(3)], **UNIT},
                             lambda: Boxes(False, "boxes"), ["boxes", "labels", "masks"]),
    "detrinstseg": ("DETRInstSeg", {"labels": ["otx_empty_lbl", *names(3)], **UNIT},
                    lambda: Boxes(True, "image"), ["boxes", "labels", "masks"]),
    "yolov8": ("YOLOv8", {"labels": names(3), **UNIT, "resize_type": "fit_to_window_letterbox", "pad_value": 114,
                          "iou_threshold": 0.7}, Yolo, ["output0"]),
    "yolov5": ("YOLOv5", {"labels": names(3)}, Yolo, ["output0"]),
    "yolo11": ("YOLO11", {"labels": names(3), "agnostic_nms": True}, Yolo, ["output0"]),
    "yolo-seg": ("YOLO-seg", {"labels": names(3), "nms_execute": True}, lambda: Yolo(True), ["output0", "output1"]),
    "yolo-seg-defaults": ("YOLO-seg", {"labels": names(3)}, lambda: Yolo(True), ["output0", "output1"]),
    "yolov8-defaults": ("YOLOv8", {"labels": names(3)}, Yolo, ["output0"]),
    "anomaly-map": ("AnomalyDetection", ANOMALY, lambda: Odd("raw"), ["output"]),
    "anomaly-v2": ("AnomalyDetection", {"labels": ["Normal", "Anomaly"], **UNIT, "task": "segmentation"},
                   lambda: Odd("seen"), SEEN),
    "anomaly-fixed-pixels": ("AnomalyDetection", {**ANOMALY, "scale_values": [], "reverse_input_channels": True},
                             lambda: Odd("raw"), ["output"]),
    "keypoints": ("keypoint_detection", {"labels": names(5), **UNIT}, Points, ["simcc_x", "simcc_y"]),
    "keypoints-letterbox": ("keypoint_detection", {"labels": names(5), **UNIT, "apply_softmax": False,
                            "confidence_threshold": 0.02, "resize_type": "fit_to_window_letterbox"}, Points,
                            ["simcc_x", "simcc_y"]),
}  # fmt: skip


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def livened(network, info, images):
    """Fill the norms' statistics with the pixels that the network will get."""
    pixels = np.stack([cv2.resize(image, (SIZE, SIZE)) for image in images]).astype(np.float32)
    pixels = pixels[..., ::-1] if info.get("reverse_input_channels") else pixels
    pixels = (pixels - info.get("mean_values", [0] * 3)) / (info.get("scale_values") or [1] * 3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            module.train()
    with torch.no_grad():
        network(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float())
    return network.eval()


def rows_of(kind, result, shape):
    """model_api's answer as rows; ids of instances as they are in the model, one less than its own."""
    if kind == "Classification":
        return [
            {"class": int(one.id), "score": float(one.confidence)}
            for one in sorted(result.top_labels, key=lambda label: -label.confidence)[:1]
        ]
    if kind == "Segmentation":
        whole = result.resultImage
        return [{"class": int(k), "score": 1.0, "mask": runs(whole == k)} for k in np.unique(whole) if k]
    if kind == "AnomalyDetection":
        score = float(result.pred_score)
        rows = [{"class": 0, "score": 1 - score if result.pred_label == "Normal" else score}]
        return rows + (
            [{"class": 1, "score": 1.0, "mask": runs(result.pred_mask > 0)}] if result.pred_mask.any() else []
        )
    if kind == "keypoint_detection":  # of the whole picture
        points = [list(map(float, place)) for place in result.keypoints]
        return [{"class": 0, "score": float(result.scores.mean()), "box": [0, 0, *shape[1::-1]], "points": points}]
    rows = []
    for index, box in enumerate(result.bboxes.tolist()):
        shift = kind in ("MaskRCNN", "DETRInstSeg", "YOLO-seg")
        row = {"box": box, "score": float(result.scores[index]), "class": int(result.labels[index]) - shift}
        rows.append({**row, "mask": runs(np.asarray(result.masks[index]) > 0)} if shift else row)
    return rows


def indices(file, image):
    """The areas of classes that the graph chose itself."""
    pixels = cv2.cvtColor(cv2.resize(image, (SIZE, SIZE)), cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    out = session.run(None, {"image": pixels.transpose(2, 0, 1)[None]})[0].squeeze().astype(np.uint8)
    whole = cv2.resize(out, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return [{"class": int(k), "score": 1.0, "mask": runs(whole == k)} for k in np.unique(whole) if k]


def main():
    """Make each model and its answers.

    In a process of its own: what one type of model_api takes by default, it sets for all types that are asked after it.
    """
    if len(sys.argv) != 4:
        for name in sys.argv[3:] or KINDS:
            subprocess.run([sys.executable, __file__, *sys.argv[1:3], name], check=True)
        return
    torch.set_num_threads(1)
    paths, target = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    images = [cv2.imread(str(path)) for path in paths]
    for name in sys.argv[3:] or KINDS:
        kind, info, make, outputs = KINDS[name]
        torch.manual_seed(3)
        usual = kind.startswith("YOLO") or "v2" in name  # what its type takes where a file says nothing
        network = livened(make(), {**(UNIT if usual else {}), **info}, images)
        file = str(target / f"modelapi-{name}.onnx")
        given = torch.zeros(1, 3, SIZE, SIZE)
        torch.onnx.export(
            network, (given,), file, opset_version=17, dynamo=False, input_names=["image"], output_names=outputs
        )
        detects = kind in ("SSD", "MaskRCNN", "DETRInstSeg", "YOLOv8", "YOLO11") and "defaults" not in name
        said = {"model_type": kind, **info, **({"confidence_threshold": LOW} if detects else {})}
        adapter = ONNXRuntimeAdapter(file)
        adapter.update_model_info(said)
        model = onnx.load(file)
        del model.metadata_props[:]
        model.metadata_props.extend(adapter.model.metadata_props)
        onnx.save(model, file)
        if "indices" in name:  # which model_api 0.4.7 says that it takes, and does not
            rows = {path.name: indices(file, image) for path, image in zip(paths, images)}
            Path(file).with_suffix(".answers.json").write_text(json.dumps(rows))
            print(name, {key: len(one) for key, one in rows.items()}, flush=True)
            continue
        own = Model.create_model(file if kind == "AnomalyDetection" else Anywhere(file), preload=True)
        found = [own(image) for image in images]
        rows = {path.name: rows_of(kind, one, image.shape) for path, one, image in zip(paths, found, images)}
        Path(file).with_suffix(".answers.json").write_text(json.dumps(rows))
        print(name, {key: len(one) for key, one in rows.items()}, flush=True)


main()
