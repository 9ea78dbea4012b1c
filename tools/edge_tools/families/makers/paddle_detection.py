"""PP-YOLOE, PP-YOLOE+ and PicoDet by PaddleDetection's exporter and paddle2onnx, and PaddleDetection's own answers.

pip install paddlepaddle==3.3.1 paddle2onnx==2.1.0 opencv-python-headless onnx onnx_graphsurgeon sympy pyyaml
    tqdm typeguard scipy shapely terminaltables pycocotools imagesize requests Cython
    pyclipper lap motmetrics six matplotlib scikit-learn setuptools
pip install --no-deps paddledet==2.6.0
python paddle_detection.py PICTURES MODELS [NAME...]
python -m edge_tools.families MODELS PICTURES --only '*' --only '*/*'

Its wheel has no configurations: those of the families are written below, with few classes. MODELS/NAME.onnx is the file
alone; MODELS/NAME-cfg/ has the infer_cfg.yml beside it that its exporter writes. The answers are the network's own in
Paddle, with its NMS, of pictures that are taken as deploy/python/preprocess.py takes them. With random weights.
"""

import functools
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import paddle
import paddle2onnx
import yaml

np.int, np.float = int, float  # paddledet 2.6.0 was written for numpy 1.23
paddle.jit.to_static = functools.partial(paddle.jit.to_static, full_graph=True)  # and for an earlier default

from ppdet.core.workspace import global_config, load_config  # noqa: E402
from ppdet.data.source.dataset import ImageFolder  # noqa: E402
from ppdet.engine import Trainer  # noqa: E402
from ppdet.engine import trainer as engine  # noqa: E402
from ppdet.modeling import ops  # noqa: E402

interpolate = paddle.nn.functional.interpolate


def enlarged(x, size=None, scale_factor=None, *said, **named):
    """To a size, not by a factor: Paddle 3.3 writes that as a double, which paddle2onnx 2.1 does not read."""
    size = size or [int(side * scale_factor) for side in x.shape[2:]]
    return interpolate(x, size, None, *said, **named)


paddle.nn.functional.interpolate = enlarged
NMS = ("score_threshold", "nms_top_k", "keep_top_k", "nms_threshold", "normalized", "nms_eta", "background_label")


def multiclass_nms3(boxes, scores, count, *said):
    """Paddle 3's operator, called as Paddle 2's was."""
    told = dict(zip(said[::2], said[1::2]))
    return paddle._C_ops.multiclass_nms3(boxes, scores, count, *(told[key] for key in NMS))


ops.in_dynamic_mode = paddle.framework.in_dynamic_or_pir_mode  # else it writes operators of Paddle 2's programs
ops.C_ops = SimpleNamespace(multiclass_nms3=multiclass_nms3)

CLASSES, SIZE = 5, 320
LABELS = [f"thing {number}" for number in range(CLASSES)]
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "is_scale": True}
PLAIN = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "norm_type": "none"}


def reader(normalize):
    """What it does to pictures."""
    resize = {"interp": 2, "target_size": [SIZE, SIZE], "keep_ratio": False}
    steps = [{"Decode": {}}, {"Resize": resize}, {"NormalizeImage": normalize}, {"Permute": {}}]
    shape = {"image_shape": [3, SIZE, SIZE]}
    return {"inputs_def": shape, "sample_transforms": steps, "batch_size": 1}


def common(normalize):
    """What every configuration has."""
    return {
        "use_gpu": False, "use_xpu": False, "use_mlu": False, "use_npu": False, "log_iter": 20, "save_dir": "output",
        "snapshot_epoch": 1, "print_flops": False, "weights": "none", "metric": "COCO", "num_classes": CLASSES,
        "norm_type": "bn", "use_ema": False, "worker_num": 1, "epoch": 1, "find_unused_parameters": True,
        "TestReader": reader(normalize),
    }  # fmt: skip


def ppyoloe(normalize, **head):
    """configs/ppyoloe/_base_/ppyoloe_crn.yml, its smallest size."""
    return common(normalize) | {
        "architecture": "PPYOLOE", "depth_mult": 0.33, "width_mult": 0.25, "exclude_nms": False,
        "exclude_post_process": False,
        "PPYOLOE": {"backbone": "CSPResNet", "neck": "CustomCSPPAN", "yolo_head": "PPYOLOEHead", "post_process": None},
        "CSPResNet": {
            "layers": [3, 6, 6, 3], "channels": [64, 128, 256, 512, 1024], "return_idx": [1, 2, 3],
            "use_large_stem": True,
        },
        "CustomCSPPAN": {"out_channels": [768, 384, 192], "stage_num": 1, "block_num": 3, "act": "swish", "spp": True},
        "PPYOLOEHead": {
            "fpn_strides": [32, 16, 8], "grid_cell_scale": 5.0, "grid_cell_offset": 0.5, "static_assigner_epoch": 30,
            "use_varifocal_loss": True, "loss_weight": {"class": 1.0, "iou": 2.5, "dfl": 0.5},
            "nms": {
                "name": "MultiClassNMS", "nms_top_k": 1000, "keep_top_k": 300, "score_threshold": 0.01,
                "nms_threshold": 0.7,
            },
        } | head,
    }  # fmt: skip


def picodet(export):
    """configs/picodet/_base_/picodet_v2.yml, its smallest size."""
    return common(IMAGENET) | {
        "architecture": "PicoDet", "export": export,
        "PicoDet": {"backbone": "LCNet", "neck": "LCPAN", "head": "PicoHeadV2"},
        "LCNet": {"scale": 0.35, "feature_maps": [3, 4, 5]},
        "LCPAN": {
            "out_channels": 96, "use_depthwise": True, "num_features": 4, "spatial_scales": [0.125, 0.0625, 0.03125],
        },
        "PicoHeadV2": {
            "conv_feat": {
                "name": "PicoFeat", "feat_in": 96, "feat_out": 96, "num_convs": 2, "num_fpn_stride": 4,
                "norm_type": "bn", "share_cls_reg": True, "use_se": True,
            },
            "fpn_stride": [8, 16, 32, 64], "feat_in_chan": 96, "prior_prob": 0.01, "reg_max": 7, "cell_offset": 0.5,
            "grid_cell_scale": 5.0, "static_assigner_epoch": 100, "use_align_head": True,
            "loss_class": {
                "name": "VarifocalLoss", "use_sigmoid": False, "iou_weighted": True, "loss_weight": 1.0,
            },
            "loss_dfl": {"name": "DistributionFocalLoss", "loss_weight": 0.5},
            "loss_bbox": {"name": "GIoULoss", "loss_weight": 2.5},
            "nms": {
                "name": "MultiClassNMS", "nms_top_k": 1000, "keep_top_k": 300, "score_threshold": 0.025,
                "nms_threshold": 0.5,  # as infer_cfg.yml says, whatever a network was made with
            },
        },
    }  # fmt: skip


WHOLE = {"post_process": True, "nms": True, "benchmark": False, "fuse_conv_bn": False}
KINDS = {
    "ppyoloe": lambda: ppyoloe(IMAGENET),
    "ppyoloe-plus": lambda: ppyoloe(PLAIN),
    "ppyoloe-plus-without-nms": lambda: ppyoloe(PLAIN) | {"exclude_nms": True},
    "ppyoloe-plus-rows": lambda: ppyoloe(PLAIN) | {"exclude_post_process": True},
    "picodet": lambda: picodet(WHOLE),
    "picodet-without-nms": lambda: picodet(WHOLE | {"nms": False}),
    "picodet-heads": lambda: picodet(WHOLE | {"post_process": False}),
}


def keep(kept, _layer, _given, out):
    """Remember what a layer gave."""
    kept.append(out)


def livened(network, batch):
    """Fill the norms' statistics, and spread scores and distances so that some cells find something."""
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.layer.norm._BatchNormBase):
            layer._momentum, layer.training = 0.0, True
    network(batch)
    network.eval()
    # PicoDet's scores are roots of products with a second score: at -4 half of all cells would find something.
    spread = (("pred_cls|gfl_cls", -4.0, 2.0), ("head_cls", -8.0, 2.5), ("pred_reg|head_reg|gfl_reg", 0.0, 1.5))
    for pattern, mean, std in spread:
        layers = [
            layer
            for name, layer in network.named_sublayers()
            if re.search(pattern, name) and isinstance(layer, paddle.nn.Conv2D) and layer.bias is not None
        ]
        for layer in layers:
            if float(layer.weight.std()) < 1e-6:
                layer.weight.set_value(0.05 * paddle.randn(layer.weight.shape))
        given = [[] for _ in layers]
        hooks = [layer.register_forward_post_hook(functools.partial(keep, kept)) for layer, kept in zip(layers, given)]
        network(batch)
        for layer, hook, (out, *_) in zip(layers, hooks, given):
            hook.remove()
            flat = out.transpose([0, 2, 3, 1]).reshape([-1, layer.weight.shape[0]])
            gain = std / flat.std(0)
            layer.weight.set_value(layer.weight * gain.reshape([-1, 1, 1, 1]))
            layer.bias.set_value(mean + (layer.bias - flat.mean(0)) * gain)
    return network


def taken(path, normalize):
    """What deploy/python/preprocess.py makes of a picture."""
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    factor = [SIZE / image.shape[0], SIZE / image.shape[1]]
    pixels = cv2.resize(image, None, None, fx=factor[1], fy=factor[0], interpolation=2).astype(np.float32)
    if normalize.get("is_scale", True):
        pixels /= 255
    pixels = (pixels - np.array(normalize["mean"], np.float32)) / np.array(normalize["std"], np.float32)
    return pixels.transpose(2, 0, 1)[None].astype(np.float32), np.array([factor], np.float32)


def of_one_class(network, one):
    """Its boxes with the best class of each alone, as a bundle tells them, through its own NMS, which tells several."""
    head = getattr(network, "yolo_head", None) or network.head
    holder, key, value = (head, "exclude_nms", True) if hasattr(head, "exclude_nms") else (network, "export_nms", False)
    setattr(holder, key, value)
    boxes, scores = list(network(one).values())[:2]
    setattr(holder, key, not value)
    if holder is network:  # PicoDet's are in pixels of the input
        boxes = boxes / paddle.flip(paddle.tile(one["scale_factor"], [1, 2]), [1]).unsqueeze(1)
    return head.nms(boxes, scores * (scores == scores.max(1, keepdim=True)).astype("float32"))[0].numpy()


def answers(network, given, single):
    """Its own rows of class, score and corners."""
    rows = {}
    for name, one in given.items():
        found = of_one_class(network, one) if single else network(one)["bbox"].numpy()
        rows[name] = [
            {"box": row[2:].tolist(), "score": float(row[1]), "class": int(row[0])} for row in found if row[0] >= 0
        ]
    return rows


def made(kind, pictures, models, work):
    """Export one model, with and without what lies beside it, and answer every picture."""
    global_config.pop("export", None)
    path, classes = work / f"{kind}.yml", work / "labels.txt"
    classes.write_text("\n".join(LABELS))
    path.write_text(yaml.dump(KINDS[kind]()))
    config = load_config(str(path))
    steps = config["TestReader"]["sample_transforms"]
    normalize = next(step["NormalizeImage"] for step in steps if "NormalizeImage" in step)
    config["TestDataset"] = ImageFolder(anno_path=str(classes))
    paddle.seed(0)
    trainer = Trainer(config, mode="test")
    network, pixels = trainer.model, {picture.name: taken(picture, normalize) for picture in pictures}
    given = {
        name: {
            "image": paddle.to_tensor(one), "scale_factor": paddle.to_tensor(factor),
            "im_shape": paddle.to_tensor(np.array([[SIZE, SIZE]], np.float32)),
        }
        for name, (one, factor) in pixels.items()
    }  # fmt: skip
    batch = {key: paddle.concat([one[key] for one in given.values()]) for key in ("image", "scale_factor", "im_shape")}
    network.eval()
    head = getattr(network, "yolo_head", None)
    left = {} if head is None else {key: getattr(head, key) for key in ("exclude_nms", "exclude_post_process")}
    for key in left:
        setattr(head, key, False)
    rows = answers(livened(network, batch), given, kind not in ("ppyoloe", "ppyoloe-plus", "picodet"))
    for key, value in left.items():
        setattr(head, key, value)
    scaled = not left.get("exclude_post_process") and config.get("export", WHOLE)["nms"]
    wanted = ["image", "scale_factor"] if scaled else ["image"]
    # Its own looks for what a network reads in a program of Paddle 2.
    engine._prune_input_spec = lambda spec, *_: [{key: spec[0][key] for key in wanted}]
    trainer.export(str(work))
    folder, name = work / kind, f"paddledet-{kind}"
    beside = models / f"{name}-cfg"
    beside.mkdir(parents=True, exist_ok=True)
    paddle2onnx.export(
        str(folder / "model.json"), str(folder / "model.pdiparams"), str(models / f"{name}.onnx"), opset_version=16,
        enable_onnx_checker=True,
    )  # fmt: skip
    shutil.copy(models / f"{name}.onnx", beside / f"{name}-cfg.onnx")
    shutil.copy(folder / "infer_cfg.yml", beside)
    (models / f"{name}.answers.json").write_text(json.dumps(rows))
    (beside / f"{name}-cfg.answers.json").write_text(json.dumps(rows))
    print(name, {key: len(one) for key, one in rows.items()}, flush=True)


def main():
    """Make each model and its answers."""
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    for kind in sys.argv[3:] or KINDS:
        with tempfile.TemporaryDirectory() as work:
            made(kind, pictures, models, Path(work))


main()
