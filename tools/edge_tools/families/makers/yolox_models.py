"""YOLOX as its tools/export_onnx.py writes it, decoded in the graph or not, with random weights, and its own answers.

pip install torch onnx onnxruntime opencv-python-headless loguru numpy pillow tabulate psutil pycocotools
pip install --no-deps pixeltable-yolox==0.4.3   # YOLOX' own code; its PyPI archive, yolox 0.3.0, does not build
python yolox_models.py PICTURES MODELS

torchvision is asked for its NMS alone, which is written below. Pictures are BGR, as YOLOX' own demos take them.
"""

import json
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch

SIZE = 320
LOW = 0.05  # of scores: the comparison has the bundle's own threshold


def nms(boxes, scores, threshold):
    """The places of the boxes that are left."""
    kept, left = [], scores.argsort(descending=True, stable=True)
    while len(left):
        kept.append(int(left[0]))
        one, others = boxes[left[0]], boxes[left[1:]]
        low, high = torch.maximum(one[:2], others[:, :2]), torch.minimum(one[2:], others[:, 2:])
        inter = (high - low).clamp(min=0).prod(1)
        both = (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1)
        left = left[1:][inter / (both - inter) <= threshold]
    return torch.tensor(kept, dtype=torch.long)


def batched_nms(boxes, scores, classes, threshold):
    """The same, each class by itself."""
    return nms(boxes + classes[:, None] * (boxes.abs().max() * 2 + 1), scores, threshold)


sys.modules["torchvision"] = types.ModuleType("torchvision")
sys.modules["torchvision"].ops = types.SimpleNamespace(nms=nms, batched_nms=batched_nms)

from yolox.config import YoloxConfig  # noqa: E402
from yolox.data.data_augment import preproc  # noqa: E402
from yolox.models.network_blocks import SiLU  # noqa: E402
from yolox.utils import postprocess, replace_module  # noqa: E402


def livened(network, batch):
    """Fill the norms' statistics, and spread scores and boxes so that some cells find something."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
            module.train()
    head, given = network.head, {}
    wanted = {"cls_preds": (0.0, 1.5), "obj_preds": (-6.0, 2.0), "reg_preds": (1.0, 0.2)}
    for name in wanted:
        for level in getattr(head, name):
            level.register_forward_hook(lambda layer, _, out: given.setdefault(layer, out))
    with torch.no_grad():
        network.eval()
        for module in network.modules():
            module.training = isinstance(module, torch.nn.BatchNorm2d)
        network(batch)
        network.eval()
        given.clear()
        network(batch)
        for name, (mean, std) in wanted.items():
            for level in getattr(head, name):
                level._forward_hooks.clear()
                flat = given[level].movedim(1, -1).reshape(-1, len(level.weight))
                gain = std / flat.std(0)
                level.weight *= gain.reshape(-1, 1, 1, 1)
                level.bias.copy_(mean + (level.bias - flat.mean(0)) * gain)
    return network


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    given = {path.name: preproc(cv2.imread(str(path)), (SIZE, SIZE)) for path in pictures}
    # preproc() rounds the sides down, and YOLOX' demos scale by what that was before: boxes are a little beside.
    scales = {
        path.name: torch.tensor(
            [int(side * given[path.name][1]) / side for side in cv2.imread(str(path)).shape[1::-1]] * 2
        )
        for path in pictures
    }
    batch = torch.from_numpy(np.stack([pixels for pixels, _ in given.values()]))
    for name, classes, decoded, depthwise in (
        ("nano-80", 80, False, True), ("nano-80-decoded", 80, True, True), ("nano-1", 1, False, True),
        ("nano-1-decoded", 1, True, True), ("tiny-3", 3, False, False), ("tiny-3-decoded", 3, True, False),
    ):  # fmt: skip
        torch.manual_seed(0)
        config = YoloxConfig(name="of few")
        config.num_classes, config.depth, config.width, config.depthwise = classes, 0.33, 0.25, depthwise
        network = replace_module(livened(config.get_model(), batch), torch.nn.SiLU, SiLU)
        network.head.decode_in_inference = decoded
        target = models / f"yolox-{name}.onnx"
        torch.onnx.export(
            network, (batch[:1],), str(target), input_names=["images"], output_names=["output"], opset_version=11,
            dynamo=False,
        )  # fmt: skip
        session, rows = onnxruntime.InferenceSession(str(target)), {}
        for key, (pixels, _) in given.items():
            (out,) = session.run(None, {"images": pixels[None]})
            out = torch.from_numpy(out)
            if not decoded:
                out = network.head.decode_outputs(out, torch.FloatTensor)
            (found,) = postprocess(out, classes, LOW, 0.45)
            rows[key] = [
                {"box": (row[:4] / scales[key]).tolist(), "score": float(row[4] * row[5]), "class": int(row[6])}
                for row in (found if found is not None else ())
            ]
        target.with_suffix(".answers.json").write_text(json.dumps(rows))
        print(name, {key: len(one) for key, one in rows.items()}, flush=True)


main()
