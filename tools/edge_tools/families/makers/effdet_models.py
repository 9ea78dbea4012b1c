"""EfficientDet by effdet: its bench, which ends in finished rows, with random weights, and its answers.

pip install --no-deps effdet==0.4.1, and timm omegaconf torch torchvision onnx onnxruntime pillow
PYTORCH_JIT=0 python effdet_models.py PICTURES MODELS   # torch.onnx does not write its scripted parts: traced
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from effdet import DetBenchPredict, EfficientDet, get_efficientdet_config
from effdet.data.input_config import resolve_input_config
from effdet.data.transforms import ResizePad, resolve_fill_color
from PIL import Image

SIZE = 320
LOW = 0.05  # of scores: the comparison has the bundle's own threshold


def livened(network, batch):
    """Fill the norms' statistics, and spread the scores so that some cells find something."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
            module.train()
    with torch.no_grad():
        network(batch)
        network.eval()
        scores = torch.cat([level.flatten() for level in network(batch)[0]])
        last = network.class_net.predict.conv_pw
        last.weight *= 0.7 / scores.std()
        last.bias.copy_((last.bias - scores.mean()) * 0.7 / scores.std() - 4.0)
    return network


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    for name, kind, classes in (("d0-5", "efficientdet_d0", 5), ("lite0-1", "tf_efficientdet_lite0", 1)):
        torch.manual_seed(0)
        config = get_efficientdet_config(kind)
        config.image_size, config.num_classes = (SIZE, SIZE), classes
        network = EfficientDet(config, pretrained_backbone=False)
        taken = resolve_input_config({"interpolation": "bilinear"}, config)  # its validate.py's default
        mean, std = np.array(taken["mean"]), np.array(taken["std"])
        pad = ResizePad(SIZE, taken["interpolation"], resolve_fill_color(taken["fill_color"], taken["mean"]))
        given = {}
        for path in pictures:
            image, told = pad(Image.open(path).convert("RGB"), {})
            pixels = ((np.asarray(image) / 255 - mean) / std).transpose(2, 0, 1)[None]
            given[path.name] = pixels.astype(np.float32), told["img_scale"], Image.open(path).size
        batch = torch.from_numpy(np.concatenate([pixels for pixels, _, _ in given.values()]))
        bench = DetBenchPredict(livened(network, batch)).eval()
        target = models / f"effdet-{name}.onnx"
        torch.onnx.export(bench, (batch[:1],), str(target), opset_version=17, dynamo=False)
        session, rows = onnxruntime.InferenceSession(str(target)), {}
        for picture, (pixels, scale, sides) in given.items():
            (found,) = session.run(None, {session.get_inputs()[0].name: pixels})
            # What generate_detections() does itself where it is told the scale and size.
            boxes = np.clip(found[0, :, :4] * scale, 0, [*sides] * 2)
            rows[picture] = [
                {"box": box, "score": float(row[4]), "class": int(row[5]) - 1}
                for box, row in zip(boxes.tolist(), found[0])
                if row[4] > LOW
            ]
        target.with_suffix(".answers.json").write_text(json.dumps(rows))
        print(name, {key: len(one) for key, one in rows.items()}, flush=True)


main()
