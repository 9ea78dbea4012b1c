"""anomalib's models by its own exporter, trained on a few pictures over random backbones, and the answers to them.

pip install torch torchvision timm lightning onnx onnxruntime onnxscript opencv-python-headless, and anomalib==1.2.0
    (with numpy<2), ==2.2.0 or ==2.7.0 with what it imports
python anomalib_models.py PICTURES MODELS [NAME...]

The first half of the pictures is good, the other has a spot of another colour in the middle, which masks show. 2.x has
its post-processor in the graph and answers by itself; before, metadata.json lies beside the model, whose formula
(deploy/inferencers/base_inferencer.py) is written down here. Answers are a score for the whole picture (class 0) and,
where there is a map, the pixels that are anomalous (class 1), enlarged as anomalib's inferencers do.
"""

import functools
import json
import shutil
import sys
import tempfile
from pathlib import Path

import anomalib
import cv2
import numpy as np
import onnxruntime
import timm
import torch
from anomalib import models
from anomalib.data import Folder
from anomalib.engine import Engine

OLD = anomalib.__version__.startswith("1.")
SIZE = 256
SMALL = {"backbone": "resnet18"}
# Name: its class, what is given to that, what is said to the exporter.
KINDS = {
    "padim": ("Padim", {**SMALL, "pre_trained": False}, {}),
    "padim-dynamic": ("Padim", {**SMALL, "pre_trained": False}, {"input_size": None}),
    "padim-raw": ("Padim", {**SMALL, "pre_trained": False}, {}),
    "padim-nomasks": ("Padim", {**SMALL, "pre_trained": False}, {}),
    "padim-sensitive": ("Padim", {**SMALL, "pre_trained": False}, {}),
    "padim-scores": ("Padim", {**SMALL, "pre_trained": False}, {}),
    "patchcore": ("Patchcore", {**SMALL, "pre_trained": False, "coreset_sampling_ratio": 0.02}, {}),
    "stfpm": ("Stfpm", SMALL, {}),
    "fastflow": ("Fastflow", {**SMALL, "pre_trained": False, "flow_steps": 2}, {}),
    "efficientad": ("EfficientAd", {}, {}),
    "dfkde": ("Dfkde", {**SMALL, "pre_trained": False, "n_pca_components": 4}, {}),
    "dfm": ("Dfm", {**SMALL, "pre_trained": False}, {}),
    "ganomaly": ("Ganomaly", {"batch_size": 4, "n_features": 16}, {}),
    "reversedistillation": ("ReverseDistillation", {**SMALL, "pre_trained": False}, {}),
    "cfa": ("Cfa", SMALL, {}),
    "cflow": ("Cflow", {**SMALL, "pre_trained": False, "coupling_blocks": 2}, {}),
    "draem": ("Draem", {}, {}),
    "fre": ("Fre", {"backbone": "resnet18", "pre_trained": False, "input_dim": 16384, "latent_dim": 20}, {}),
    "supersimplenet": ("Supersimplenet", SMALL, {}),
    "uflow": ("Uflow", {**SMALL, "flow_steps": 2}, {}),
    "csflow": ("Csflow", {"cross_conv_hidden_channels": 32, "n_coupling_blocks": 1}, {}),
}


def untrained():
    """Let nothing be fetched: backbones get random weights, always the same, whose norms pictures have filled."""
    made = timm.create_model

    @functools.wraps(made)
    def create(*given, **said):
        torch.manual_seed(0)
        network = made(*given, **{**said, "pretrained": False})
        for module in network.modules():  # random layers fade what they see: keep its size
            if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.Conv2d)) and hasattr(module, "momentum"):
                module.momentum = None
        network.train()
        with torch.no_grad():
            network(torch.rand(2, 3, SIZE, SIZE))
        return network.eval()

    timm.create_model = create


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def drawn(pictures, folder):
    """A data set: variants of the pictures, good ones and ones with a spot, with its masks."""
    dice = np.random.default_rng(0)
    for index in range(16):
        image = cv2.resize(cv2.imread(str(pictures[index % len(pictures)])), (SIZE, SIZE)).astype(np.float32)
        bad = index % len(pictures) >= len(pictures) // 2
        if index >= len(pictures):
            image = image * dice.uniform(0.9, 1.1) + dice.normal(0, 4, image.shape)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        if bad:
            cv2.circle(mask, (128, 128), 40 + index, 255, -1)
            image[mask > 0] = 255 - image[mask > 0]
        kinds = ["bad"] if bad else ["good", "good-test"]
        for kind in kinds:
            (folder / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / kind / f"{index:02}.png"), image.clip(0, 255).astype(np.uint8))
        if bad:
            (folder / "masks").mkdir(exist_ok=True)
            cv2.imwrite(str(folder / "masks" / f"{index:02}.png"), mask)


def data(folder, name, one):
    """anomalib's view of it."""
    masks = {} if name.endswith("nomasks") else {"mask_dir": "masks"}
    more = {"task": "classification" if not masks else "segmentation", "image_size": (SIZE, SIZE)} if OLD else {}
    return Folder(
        name="spots", root=folder, normal_dir="good", normal_test_dir="good-test", abnormal_dir="bad",
        val_split_mode="same_as_test", train_batch_size=1 if one else 4, eval_batch_size=4, num_workers=0, **masks,
        **more,
    )  # fmt: skip


def efficient(model):
    """EfficientAd without its trained teacher and its pictures of ImageNet."""
    model.prepare_pretrained_model = lambda: None

    def pictures(_size):
        model.imagenet_loader = [(torch.rand(1, 3, SIZE, SIZE), 0)] * 4
        model.imagenet_iterator = iter(model.imagenet_loader)

    model.prepare_imagenette_data = pictures
    return model


def trained(name, kind, given, folder):
    """A model, and its engine, after an epoch."""
    torch.manual_seed(0)
    model = getattr(models, kind)(**given)
    if kind == "EfficientAd":
        efficient(model)
    if name == "padim-sensitive":
        model.post_processor.image_sensitivity = 0.7
        model.post_processor.pixel_sensitivity = 0.4
    if name == "padim-raw" and not OLD:
        model.post_processor.enable_normalization = model.post_processor.enable_thresholding = False
    more = {"task": "classification" if name.endswith("nomasks") else "segmentation"} if OLD else {}
    engine = Engine(max_epochs=1, accelerator="cpu", devices=1, logger=False, default_root_dir=folder / "out", **more)
    engine.fit(model, datamodule=data(folder, name, kind == "EfficientAd"))
    if name == "padim-scores":  # no labels, no masks in the graph
        model.post_processor.enable_thresholding = False
    return model.eval()


def old_answer(session, told, pixels):
    """By version 1: the map and the score (its greatest value where the model has none), and what scales them."""
    out = session.run(None, {session.get_inputs()[0].name: pixels})
    cells = next((one for one in out if one.ndim == 4 and one.size > 1), None)
    score = next((one.reshape(-1)[0] for one in out if one.size == 1), None)
    score = cells.max() if score is None else score
    part = told["pred_scores.max"] - told["pred_scores.min"]
    whole = float(np.clip((score - told["image_threshold"]) / part + 0.5, 0, 1))
    if cells is None:
        return whole, None
    part = told["anomaly_maps.max"] - told["anomaly_maps.min"]
    return whole, np.clip((cells.squeeze() - told["pixel_threshold"]) / part + 0.5, 0, 1)


def new_answer(session, pixels):
    """By version 2: the outputs as they are."""
    names = [one.name for one in session.get_outputs()]
    out = dict(zip(names, session.run(None, {session.get_inputs()[0].name: pixels})))
    cells = out.get("anomaly_map")
    return float(out["pred_score"].reshape(-1)[0]), None if cells is None else cells.squeeze()


def answers(path, picture, told, limits):
    """A row for the whole, and one for its anomalous pixels."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    image = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    if isinstance(shape[2], int):
        image = cv2.resize(image, (shape[3], shape[2]))
    pixels = (image.astype(np.float32) / 255).transpose(2, 0, 1)[None]
    score, cells = old_answer(session, told, pixels) if told else new_answer(session, pixels)
    rows = [{"class": 0, "score": score}]
    if cells is not None:
        whole = cv2.resize(cells.astype(np.float32), (width, height)) >= limits[1]
        rows += [{"class": 1, "score": 1.0, "mask": runs(whole)}] if whole.any() else []
    return rows


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    untrained()
    plain = torch.onnx.export
    torch.onnx.export = lambda *given, **said: plain(*given, **{"dynamo": False, **said})
    pictures, target = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    for name in sys.argv[3:] or KINDS:
        kind, given, said = KINDS[name]
        if not hasattr(models, kind) or (OLD and name in ("padim-sensitive", "padim-scores")):
            continue
        with tempfile.TemporaryDirectory() as work:
            drawn(pictures, Path(work))
            model = trained(name, kind, given, Path(work))
            more = {} if not OLD else {"task": "classification" if name.endswith("nomasks") else "segmentation"}
            path = model.to_onnx(Path(work) / "onnx", **{"input_size": (SIZE, SIZE), **said}, **more)
            size = "" if said.get("input_size", 1) else f"@{SIZE}x{SIZE}"
            label = f"anomalib-{anomalib.__version__}-{name}{size}"
            beside = Path(path).with_name("metadata.json")
            told = json.loads(beside.read_text()) if beside.exists() else None
            file = target / label / "model.onnx"
            shutil.copytree(Path(path).parent, file.parent, dirs_exist_ok=True)
            if OLD and name == "padim-raw":
                file.with_name("metadata.json").unlink()
            limits = (0.3, 0.6) if name == "padim-sensitive" else (0.5, 0.5)
            rows = {one.name: answers(file, one, told, limits) for one in pictures}
            (target / f"{label}.answers.json").write_text(json.dumps(rows))
            print(label, {key: [round(row["score"], 3) for row in one] for key, one in rows.items()}, flush=True)


main()
