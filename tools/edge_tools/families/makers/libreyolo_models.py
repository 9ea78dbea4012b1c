"""Detectors of many families by LibreYOLO's exporter, with random weights that find something, and its own answers.

pip install --no-deps libreyolo==1.6.0, and torch torchvision timm onnx onnxruntime opencv-python-headless pillow pyyaml
python libreyolo_models.py PICTURES MODELS [KIND...]
"""

import json
import re
import sys
from pathlib import Path

import libreyolo
import torch
from libreyolo import LibreYOLO

CLASSES = 5
LOW = 0.05  # of scores: the comparison has the bundle's own threshold
# Its class, size, side (None: its own), what its layers of scores are called, how many numbers there belong to a
# cell, which of those is an objectness.
KINDS = {
    "yolox": ("LibreYOLOX", "n", 320, r"head\.(cls|obj)_preds", 0, None),
    "yolo9": ("LibreYOLO9", "t", 320, r"head\.cv3\.\d\.2", 0, None),
    "yolo9-nms": ("LibreYOLO9", "t", 320, r"head\.cv3\.\d\.2", 0, None),
    "yolo9-e2e": ("LibreYOLO9E2E", "t", 320, r"head\..*cv3\.\d\.2", 0, None),
    "yolo7": ("LibreYOLO7", "b", 320, r"head_conv", 5 + CLASSES, 4),
    "yolo4": ("LibreYOLO4", "t", 320, r"\.conv$", 5 + CLASSES, 4),
    "yolo3": ("LibreYOLO3", "t", 320, r"\.conv$", 5 + CLASSES, 4),
    "yolo2": ("LibreYOLO2", "t", 320, r"\.conv$", 5 + CLASSES, 4),
    "picodet": ("LibrePICODET", "s", 320, r"gfl_cls", 0, None),
    "ppyoloe": ("LibrePPYOLOE", "s", 320, r"pred_cls", 0, None),
    "rtmdet": ("LibreRTMDet", "t", 320, r"rtm_cls", 0, None),
    "yolonas": ("LibreYOLONAS", "s", 320, r"cls_pred", 0, None),
    "efficientdet": ("LibreEfficientDet", "d0", None, r"class_net\.predict\.conv_pw", 0, None),
    "centernet": ("LibreCenterNet", "resdcn18", None, r"hm\.2", 0, None),
    "ssd": ("LibreSSD", "300", None, r"classification", 0, None),
    "detr": ("LibreDETR", "r50", None, r"class_embed", 0, None),
    "dfine": ("LibreDFINE", "n", None, r"score_head", 0, None),
    "deim": ("LibreDEIM", "n", None, r"score_head", 0, None),
    "deimv2": ("LibreDEIMv2", "atto", None, r"score_head", 0, None),
    "rtdetr": ("LibreRTDETR", "r18", None, r"score_head|class_embed", 0, None),
    "rtdetrv2": ("LibreRTDETRv2", "r18", None, r"score_head|class_embed", 0, None),
    "rtdetrv4": ("LibreRTDETRv4", "s", None, r"score_head|class_embed", 0, None),
    "lwdetr": ("LibreLWDETR", "t", None, r"class_embed", 0, None),
}


def livened(network, batch, named, each, objectness):
    """Fill the norms' statistics, and spread the scores so that some cells find something."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
            module.train()
    with torch.no_grad():
        network(batch)
    network.eval()
    layers = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)) and re.search(named, name) and layer.bias is not None
    }
    outputs = {}
    hooks = [
        layer.register_forward_hook(lambda _, __, out, name=name: outputs.setdefault(name, out))
        for name, layer in layers.items()
    ]
    with torch.no_grad():
        for layer in layers.values():
            if float(layer.weight.std()) < 1e-6:
                torch.nn.init.normal_(layer.weight, std=0.05)
        network(batch)
        for hook in hooks:
            hook.remove()
        for name, out in outputs.items():
            layer = layers[name]
            count = len(layer.weight)
            if each and count % each:
                continue
            flat = out.movedim(1, -1).reshape(-1, count) if out.ndim == 4 else out.reshape(-1, count)
            wanted = torch.arange(count) % each >= 4 if each else torch.ones(count, dtype=torch.bool)
            low = torch.arange(count) % each == objectness if each else torch.zeros(count, dtype=torch.bool)
            mean = torch.where(low, -5.0, 0.0) if each else torch.full((count,), 0.0 if "cls_preds" in name else -4.0)
            gain = 2 / flat[:, wanted].std()
            layer.bias[wanted] += (mean - flat.mean(0) - (gain - 1) * (flat.mean(0) - layer.bias))[wanted]
            layer.weight[wanted] *= gain
    return network


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    for kind in sys.argv[3:] or KINDS:
        name, size, side, named, each, objectness = KINDS[kind]
        torch.manual_seed(0)
        model = getattr(libreyolo, name)(None, size=size, nb_classes=CLASSES, device="cpu")
        side = side or model._get_input_size()
        batch = torch.cat([model._preprocess(str(path), input_size=side)[0] for path in pictures])
        livened(model.model, batch, named, each, objectness)
        target = models / f"libreyolo-{kind}.onnx"
        more = {"nms": True, "conf": LOW, "iou": 0.45} if kind.endswith("-nms") else {}
        model.export("onnx", imgsz=side, output_path=str(target), simplify=False, **more)
        own, rows = LibreYOLO(str(target)), {}
        if more:  # it would pass over what the graph's NMS left, and suppress the graph's other output by itself
            own.embedded_nms_raw_output_index = None
        iou = 1.0 if more else 0.45  # it suppresses once more what it clipped to the picture
        for path in pictures:
            found = own.predict(str(path), conf=LOW, iou=iou, imgsz=side, max_det=1000).boxes
            each_found = zip(found.xyxy.tolist(), found.conf.tolist(), found.cls.tolist())
            rows[path.name] = [{"box": box, "score": score, "class": int(label)} for box, score, label in each_found]
        target.with_suffix(".answers.json").write_text(json.dumps(rows))
        print(kind, {key: len(one) for key, one in rows.items()}, flush=True)


main()
