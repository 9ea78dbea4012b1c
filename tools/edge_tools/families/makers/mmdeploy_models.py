"""Detectors of mmdetection and mmyolo by mmdeploy's exporter, with random weights that find something, and answers.

pip install torch onnx onnxruntime opencv-python-headless mmengine matplotlib pycocotools scipy shapely terminaltables
    aenum multiprocess prettytable six tqdm setuptools
pip install --no-deps mmcv-lite==2.0.1 mmdet==3.3.0 mmyolo==0.6.0 mmdeploy==1.3.1
python mmdeploy_models.py PICTURES MODELS [NAME...]
python -m edge_tools.families MODELS PICTURES --only '*' --only '*/*'

mmcv's own operators are no part of mmcv-lite: those that are used here are written below. MODELS/NAME.onnx is the file
alone (of a fixed size), MODELS/NAME-sdk/ has mmdeploy's pipeline.json beside it (`--dump-info`). The answers are those
of mmdeploy's own backend model over onnxruntime, which takes pictures as its test pipeline does and brings boxes and
masks back to them.
"""

import functools
import importlib.abc
import importlib.machinery
import json
import re
import shutil
import sys
import tempfile
import types
from pathlib import Path

import cv2
import numpy as np
import torch

CLASSES = 5


def overlaps(box, boxes):
    """The IoU of one box with others."""
    low, high = torch.maximum(box[:2], boxes[:, :2]), torch.minimum(box[2:], boxes[:, 2:])
    inter = (high - low).clamp(min=0).prod(1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return inter / (area + (box[2:] - box[:2]).prod() - inter)


def nms(boxes, scores, iou_threshold, offset=0, score_threshold=0, max_num=-1):
    """As mmcv.ops.nms: the boxes that are left with their scores, and where they were."""
    kept, left = [], scores.argsort(descending=True, stable=True)
    left = left[scores[left] > score_threshold] if score_threshold > 0 else left
    while len(left) and (max_num < 0 or len(kept) < max_num):
        kept.append(int(left[0]))
        left = left[1:][overlaps(boxes[left[0]], boxes[left[1:]]) <= iou_threshold]
    where = torch.tensor(kept, dtype=torch.long)
    return torch.cat([boxes[where], scores[where, None]], 1), where


def batched_nms(boxes, scores, idxs, nms_cfg, class_agnostic=False):
    """As mmcv.ops.batched_nms."""
    apart = boxes if class_agnostic else boxes + (idxs * (boxes.max() + 1))[:, None]
    _, where = nms(apart, scores, nms_cfg["iou_threshold"])
    return torch.cat([boxes[where], scores[where, None]], 1), where


OPERATORS = {"nms": nms, "batched_nms": batched_nms}


class Operators(types.ModuleType):
    """mmcv.ops and its modules: what is not written here is there by name alone."""

    def __getattr__(self, name):
        """Make one up."""
        if name.startswith("__"):
            raise AttributeError(name)
        return OPERATORS.setdefault(name, type(name, (torch.nn.Module,), {}))

    def __setattr__(self, name, value):
        """Keep a module from taking the name of what it holds."""
        if not isinstance(value, Operators):
            super().__setattr__(name, value)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds them."""

    def find_spec(self, name, path=None, target=None):
        """Say that they are here."""
        ours = name == "mmcv.ops" or name.startswith("mmcv.ops.")
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if ours else None

    def create_module(self, spec):
        """Make one."""
        return Operators(spec.name)

    def exec_module(self, module):
        """Nothing is run."""


sys.meta_path.insert(0, Finder())
torch.onnx.export = functools.partial(torch.onnx.export, dynamo=False)  # what mmdeploy was written for

import mmdet  # noqa: E402
import mmyolo  # noqa: E402
from mmdeploy.apis import build_task_processor  # noqa: E402
from mmdeploy.apis.onnx import export  # noqa: E402
from mmdeploy.backend.sdk.export_info import get_pipeline  # noqa: E402
from mmdet.models.task_modules.prior_generators import MlvlPointGenerator  # noqa: E402
from mmengine import Config  # noqa: E402

# mmdeploy leaves out the device, which is "cuda" then.
MlvlPointGenerator.single_level_grid_priors = functools.partialmethod(
    MlvlPointGenerator.single_level_grid_priors, device="cpu"
)

# Its configuration, changes to that, what its layers of scores and of boxes are called, and what these shall give: the
# mean and deviation of each of the box's numbers (one for all).
SMALL = {"depth": 18, "init_cfg": None}
PYRAMID = [64, 128, 256, 512]
NEAR = [(3.0, 0.6)]  # to the four sides, in strides
MIDDLE = [(0.5, 0.5), (0.5, 0.5), (1.0, 0.4), (1.0, 0.4)]  # of a cell, and logarithms of sides
KINDS = {
    "rtmdet": ("mmdet", "rtmdet/rtmdet_tiny_8xb32-300e_coco.py", {}, r"head\.rtm_cls", r"head\.rtm_reg", NEAR),
    "rtmdet-ins": (
        "mmdet", "rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py", {}, r"head\.rtm_cls", r"head\.rtm_reg", NEAR,
    ),
    "yolox": (
        "mmdet", "yolox/yolox_tiny_8xb8-300e_coco.py", {}, r"head\.multi_level_conv_(cls|obj)",
        r"head\.multi_level_conv_reg", MIDDLE,
    ),
    "retinanet": (
        "mmdet", "retinanet/retinanet_r18_fpn_1x_coco.py", {}, r"head\.retina_cls", r"head\.retina_reg", [(0.0, 0.3)],
    ),
    "fcos": (
        "mmdet", "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
        {"backbone": SMALL, "neck": {"in_channels": PYRAMID}}, r"head\.conv_(cls|centerness)", r"head\.conv_reg", NEAR,
    ),
    "gfl": (
        "mmdet", "gfl/gfl_r50_fpn_1x_coco.py", {"backbone": SMALL, "neck": {"in_channels": PYRAMID}}, r"head\.gfl_cls",
        r"head\.gfl_reg", [(0.0, 1.5)],
    ),
    "detr": ("mmdet", "detr/detr_r18_8xb2-500e_coco.py", {}, r"head\.fc_cls", r"head\.reg_ffn.*1$", [(0.0, 1.0)]),
    "yolov5": (
        "mmyolo", "yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py", {}, r"head_module\.convs_pred", "", [],
    ),
    "yolov8": (
        "mmyolo", "yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py", {}, r"head_module\.cls_preds\.\d\.2",
        r"head_module\.reg_preds\.\d\.2", [(0.0, 1.5)],
    ),
    "ppyoloe": (
        "mmyolo", "ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco.py", {}, r"head_module\.cls_preds",
        r"head_module\.reg_preds", [(0.0, 1.5)],
    ),
    "yolo-rtmdet": (
        "mmyolo", "rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco.py", {}, r"head_module\.rtm_cls",
        r"head_module\.rtm_reg", NEAR,
    ),
    "yolo-yolox": (
        "mmyolo", "yolox/yolox_tiny_fast_8xb8-300e_coco.py", {}, r"head_module\.multi_level_conv_(cls|obj)",
        r"head_module\.multi_level_conv_reg", MIDDLE,
    ),
}  # fmt: skip
FREE = ("rtmdet", "yolox")  # that have a second form, of any size


def livened(network, batch, samples, named, boxes, wanted):
    """Fill the norms' statistics, and spread scores and boxes so that some cells find something."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            module.reset_running_stats()
            module.train()
    with torch.no_grad():
        network(batch, samples)
    network.eval()
    for pattern, spread in ((named, [(-4.5, 2.0)]), (boxes, wanted)):
        layers = {
            layer: []
            for name, layer in network.named_modules()
            if pattern and re.search(pattern, name) and isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))
        }
        for layer, given in layers.items():
            if float(layer.weight.detach().std()) < 1e-6:
                torch.nn.init.normal_(layer.weight, std=0.05)
            layer.register_forward_hook(lambda _, __, out, given=given: given.append(out))
        with torch.no_grad():
            network(batch, samples)
            for layer, given in layers.items():
                layer._forward_hooks.clear()
                count = len(layer.weight)
                flat = torch.cat([(out.movedim(1, -1) if out.ndim == 4 else out).reshape(-1, count) for out in given])
                each = [spread[number % len(spread)] for number in range(count)]
                if count == 3 * (5 + CLASSES):  # YOLOv5's: boxes, an objectness, classes, for three anchors
                    each = ([(0.0, 0.7)] * 4 + [(-4.0, 2.0)] + [(0.0, 1.5)] * CLASSES) * 3
                mean, std = torch.tensor(each).T
                if name_of(layer, network).endswith("obj") or "centerness" in name_of(layer, network):
                    mean = mean + 4.0
                gain = std / flat.std(0)
                shape = (-1, *[1] * (layer.weight.ndim - 1))
                layer.weight *= gain.reshape(shape)
                layer.bias.copy_(mean + (layer.bias - flat.mean(0)) * gain)
    return network


def name_of(layer, network):
    """What a layer is called, less the number of its level."""
    return next(re.sub(r"\.\d+$", "", name) for name, one in network.named_modules() if one is layer)


def deploy_of(codebase, masks, free):
    """What mmdeploy's configurations of onnxruntime come to."""
    names = ["dets", "labels", *(["masks"] if masks else [])]
    ir = {
        "type": "onnx", "export_params": True, "keep_initializers_as_inputs": False, "opset_version": 11,
        "save_file": "end2end.onnx", "input_names": ["input"], "output_names": names, "optimize": True,
        "input_shape": None if free else [320, 320],
    }  # fmt: skip
    if free:
        ir["dynamic_axes"] = {"input": {0: "batch", 2: "height", 3: "width"}} | {
            name: {0: "batch", 1: "num_dets"} for name in names
        }
    post = {
        "score_threshold": 0.05, "confidence_threshold": 0.005, "iou_threshold": 0.5,
        "max_output_boxes_per_class": 200, "pre_top_k": 5000, "keep_top_k": 100, "background_label_id": -1,
        "export_postprocess_mask": False,
    }  # fmt: skip
    code = {"type": codebase, "task": "ObjectDetection", "model_type": "end2end", "post_processing": post}
    if codebase == "mmyolo":
        code["module"] = ["mmyolo.deploy"]
    return Config({"onnx_config": ir, "codebase_config": code, "backend_config": {"type": "onnxruntime"}})


def configured(codebase, path, changes):
    """A model's configuration, with few classes and nothing to fetch."""
    package = mmdet if codebase == "mmdet" else mmyolo
    config = Config.fromfile(Path(package.__file__).parent / ".mim/configs" / path)
    config.model.merge_from_dict(changes) if hasattr(config.model, "merge_from_dict") else None
    for part, values in changes.items():
        config.model[part].update(values)
    config.model.backbone.init_cfg = None
    head = config.model.bbox_head
    head.get("head_module", head).num_classes = CLASSES
    return config


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def cut(mask, box):
    """Without what lies beside its box: a bundle ends masks there, random ones do not."""
    x1, y1 = (max(int(side), 0) for side in box[:2])
    x2, y2 = (max(int(np.ceil(side)), 0) for side in box[2:])
    inside = np.zeros_like(mask)
    inside[y1:y2, x1:x2] = mask[y1:y2, x1:x2]
    return inside


def answer(model, task, image, shape):
    """What mmdeploy's own model over onnxruntime answers."""
    data, inputs = task.create_input(image, shape, data_preprocessor=model.data_preprocessor)
    found = model(inputs, data["data_samples"], mode="predict")[0].pred_instances.cpu().numpy()
    rows = []
    for index, (box, score, label) in enumerate(zip(found.bboxes, found.scores, found.labels)):
        row = {"box": box.tolist(), "score": float(score), "class": int(label)}
        if "masks" in found:
            row["mask"] = runs(cut(np.asarray(found.masks[index]).astype(bool), box))
        rows.append(row)
    return rows


def made(name, kind, free, pictures, models):
    """Export one model, with and without what lies beside it, and answer every picture."""
    codebase, path, changes, named, boxes, wanted = KINDS[kind]
    torch.manual_seed(0)
    deploy, config = deploy_of(codebase, "-ins" in kind, free), configured(codebase, path, changes)
    shape = None if free else [320, 320]
    task = build_task_processor(config, deploy, "cpu")
    network = task.build_pytorch_model(None)
    given = [task.create_input(str(picture), [320, 320], network.data_preprocessor) for picture in pictures]
    samples = [sample for data, _ in given for sample in data["data_samples"]]
    livened(network, torch.cat([pixels for _, pixels in given]), samples, named, boxes, wanted)
    # Another, since create_input() writes the size that it is given into the configuration.
    task = build_task_processor(configured(codebase, path, changes), deploy, "cpu")
    data, inputs = task.create_input(str(pictures[0]), shape, network.data_preprocessor)
    with tempfile.TemporaryDirectory() as work:
        names = deploy.onnx_config
        export(
            network, inputs, f"{work}/end2end", backend="onnxruntime",
            input_metas={"data_samples": data["data_samples"], "mode": "predict"}, context_info={"deploy_cfg": deploy},
            input_names=names.input_names, output_names=names.output_names, opset_version=names.opset_version,
            dynamic_axes=names.get("dynamic_axes"), keep_initializers_as_inputs=False, optimize=False,
        )  # fmt: skip
        beside = models / f"{name}-sdk"
        beside.mkdir(parents=True, exist_ok=True)
        if not free:
            shutil.copy(f"{work}/end2end.onnx", models / f"{name}.onnx")
        shutil.copy(f"{work}/end2end.onnx", beside / f"{name}-sdk.onnx")
    told = get_pipeline(deploy, configured(codebase, path, changes), "", "cpu")
    (beside / "pipeline.json").write_text(json.dumps(told, indent=1))
    model = task.build_backend_model([str(beside / f"{name}-sdk.onnx")])
    rows = {picture.name: answer(model, task, cv2.imread(str(picture)), shape) for picture in pictures}
    text = json.dumps(rows)
    if not free:
        (models / f"{name}.answers.json").write_text(text)
    (beside / f"{name}-sdk.answers.json").write_text(text)
    print(name, {key: len(one) for key, one in rows.items()}, flush=True)


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    for kind in sys.argv[3:] or KINDS:
        made(f"mmdeploy-{kind}", kind, False, pictures, models)
        if kind in FREE:
            made(f"mmdeploy-{kind}-free", kind, True, pictures, models)


main()
