"""torchvision's detectors, segmentation models and classifiers, with random weights that find something, and answers.

pip install torch torchvision onnx onnxruntime pillow opencv-python-headless
python torchvision_models.py PICTURES MODELS [NAME...]

Detectors take a picture of 320x320 pixels of 0..1 and normalise it inside; the answers are the model's own, of boxes
stretched back to the picture; classes are counted without the background, their 0. The others take ImageNet's mean
and deviations, as torchvision's references do.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision import models
from torchvision.models import detection, segmentation
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

SIZE = 320
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
NAMES = ["boxes", "labels", "scores", "masks"]


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def livened(network, batch):
    """Fill the norms' statistics from pictures."""
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    kept = [(norm, norm.momentum) for norm in norms]
    network.eval()
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        network(batch)
    for norm, momentum in kept:
        norm.momentum = momentum
    return network.eval()


def small():
    """A pyramid over MobileNetV3 whose norms are not frozen, so that they can learn what pictures are like."""
    network = models.mobilenet_v3_small(weights=None).features
    return BackboneWithFPN(network, {"3": "0", "8": "1", "11": "2"}, [24, 48, 96], 64)


def detectors():
    """Each kind that torchvision has, over a small backbone and with few boxes to choose from."""
    sides = {"min_size": SIZE, "max_size": SIZE}
    grids = AnchorGenerator(((48,), (96,), (160,), (256,)), ((0.5, 1.0, 2.0),) * 4)
    few = {"rpn_pre_nms_top_n_test": 50, "rpn_post_nms_top_n_test": 40, "rpn_anchor_generator": grids}

    def parts(classes):
        return {"box_head": TwoMLPHead(64 * 49, 64), "box_predictor": FastRCNNPredictor(64, classes), **few, **sides}

    yield "fasterrcnn", detection.FasterRCNN(small(), box_detections_per_img=20, **parts(4))
    masks = {"mask_head": MaskRCNNHeads(64, (32,), 1), "mask_predictor": MaskRCNNPredictor(32, 32, 3)}
    yield "maskrcnn", detection.MaskRCNN(small(), box_detections_per_img=8, **masks, **parts(3))
    points = {"keypoint_head": KeypointRCNNHeads(64, (32,)), "keypoint_predictor": KeypointRCNNPredictor(32, 17)}
    yield "keypointrcnn", detection.KeypointRCNN(small(), box_detections_per_img=8, **points, **parts(2))
    found = {"detections_per_img": 20, "topk_candidates": 60}
    yield "retinanet", detection.RetinaNet(small(), 3, anchor_generator=grids, **found, **sides)
    whole = AnchorGenerator(((16,), (32,), (64,), (128,)), ((1.0,),) * 4)
    yield "fcos", detection.FCOS(small(), 3, anchor_generator=whole, **found, **sides)
    given = {"weights": None, "weights_backbone": None}
    yield "ssdlite", detection.ssdlite320_mobilenet_v3_large(num_classes=5, **found, **given)


def seeded(made):
    """Make each alike, whichever were made before."""
    while True:
        torch.manual_seed(0)
        one = next(made, None)
        if one is None:
            return
        yield one


def spread(network, name):
    """Scale the last layers, so that scores lie on both sides of every threshold."""
    if hasattr(network, "roi_heads"):
        network.roi_heads.box_predictor.cls_score.weight.data *= 15
        return
    head = network.head.classification_head
    lasts = [m for m in head.modules() if isinstance(m, torch.nn.Conv2d)]
    if name == "ssdlite":
        for block in head.module_list:
            block[1].weight.data *= 60
        return
    last = head.cls_logits
    last.weight.data *= 40
    last.bias.data[:] = -2.0
    last.bias.data.view(-1, head.num_classes)[:, 0] = -30.0  # stands for nothing, and is never answered
    if name == "fcos":
        network.head.regression_head.bbox_reg.bias.data[:] = 3.0
    for layer in lasts:
        if layer is not last:
            torch.nn.init.kaiming_normal_(layer.weight)


def found(network, picture):
    """What a detector answers, in pixels of the picture."""
    pixels = cv2.resize(np.asarray(picture.convert("RGB")), (SIZE, SIZE)).astype(np.float32) / 255
    with torch.no_grad():
        (answer,) = network([torch.from_numpy(pixels.transpose(2, 0, 1).copy())])
    across, down = picture.width / SIZE, picture.height / SIZE
    rows = []
    for index, box in enumerate(answer["boxes"].tolist()):
        box = [box[0] * across, box[1] * down, box[2] * across, box[3] * down]
        row = {"box": box, "score": float(answer["scores"][index]), "class": int(answer["labels"][index]) - 1}
        if "masks" in answer:
            mask = Image.fromarray(answer["masks"][index, 0].numpy()).resize(picture.size, Image.BILINEAR)
            row["mask"] = runs(np.asarray(mask) > 0.5)
        if "keypoints" in answer:
            row["points"] = [[x * across, y * down, seen] for x, y, seen in answer["keypoints"][index].tolist()]
        rows.append(row)
    return rows


def seen(network, picture, kind):
    """The best class, or the area of every class but the background, of a model that takes normalised pixels."""
    size = 224 if kind == "classify" else SIZE
    pixels = cv2.resize(np.asarray(picture.convert("RGB")), (size, size)).astype(np.float32) / 255
    pixels = torch.from_numpy(((pixels - MEAN) / STD).astype(np.float32).transpose(2, 0, 1)[None])
    with torch.no_grad():
        out = network(pixels)
    if kind == "classify":
        chances = out[0].softmax(0)
        return [{"class": int(chances.argmax()), "score": float(chances.max())}]
    whole = np.asarray(Image.fromarray(out["out"][0].argmax(0).byte().numpy()).resize(picture.size, Image.NEAREST))
    return [{"class": int(k), "score": 1.0, "mask": runs(whole == k)} for k in np.unique(whole) if k]


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pictures, target = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    images = [cv2.resize(np.asarray(Image.open(path).convert("RGB")), (SIZE, SIZE)) for path in pictures]
    batch = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()) / 255.0
    normal = (batch - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]

    def write(name, network, given, answer, **names):
        if sys.argv[3:] and name.removeprefix("torchvision-") not in sys.argv[3:]:
            return
        torch.onnx.export(network, given, str(target / f"{name}.onnx"), opset_version=17, dynamo=False, **names)
        rows = {path.name: answer(Image.open(path)) for path in pictures}
        (target / f"{name}.answers.json").write_text(json.dumps(rows))
        print(name, {key: len(one) for key, one in rows.items()}, flush=True)

    for name, network in seeded(detectors()):
        livened(network.backbone, normal)
        spread(network, name)
        network.eval()
        order = (
            NAMES[: 4 if name == "maskrcnn" else 3] if hasattr(network, "roi_heads") else ["boxes", "scores", "labels"]
        )
        order = [*NAMES[:3], "keypoints", "keypoints_scores"] if name == "keypointrcnn" else order
        named = {"input_names": ["image"], "output_names": order}
        write(f"torchvision-{name}", network, ([batch[0]],), lambda image, net=network: found(net, image), **named)
        if name == "fasterrcnn":  # as an export without names numbers them
            write(f"torchvision-{name}-unnamed", network, ([batch[0]],), lambda image, net=network: found(net, image))
    given = {"weights": None, "weights_backbone": None, "num_classes": 4}
    for name, network in {
        "deeplabv3": segmentation.deeplabv3_mobilenet_v3_large(**given),
        "lraspp": segmentation.lraspp_mobilenet_v3_large(**given),
        "deeplabv3-aux": segmentation.deeplabv3_mobilenet_v3_large(aux_loss=True, **given),
    }.items():
        livened(network, normal)
        named = {"input_names": ["input"], "output_names": ["out", "aux"] if "aux" in name else ["out"]}
        answer = lambda image, net=network: seen(net, image, "segment")  # noqa: E731
        write(f"torchvision-{name}", network, (normal[:1],), answer, **named)
    for name, network in {
        "resnet18": models.resnet18(num_classes=5),
        "mobilenet_v3_small": models.mobilenet_v3_small(num_classes=5),
        "shufflenet_v2": models.shufflenet_v2_x0_5(num_classes=2),
    }.items():
        part = torch.nn.functional.interpolate(normal, 224)
        livened(network, part)
        last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
        with torch.no_grad():  # scores of different pictures are to differ
            last.weight *= 3 / (network(part) - network(part).mean(0)).std()
            last.bias -= network(part).mean(0)
        answer = lambda image, net=network: seen(net, image, "classify")  # noqa: E731
        write(f"torchvision-{name}", network, (part[:1],), answer, input_names=["input"], output_names=["output"])


main()
