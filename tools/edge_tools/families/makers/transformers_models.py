"""Small transformers models with random weights that find something, exported by optimum, and transformers' answers.

    pip install transformers==4.57.* optimum-onnx==0.1.0 onnxruntime torch pillow scipy
    python transformers_models.py PICTURES MODELS [NAME...]

Classifiers, segmentation, and the detectors that `optimum` does not know (exported by torch, with the folder's files).
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import torch
import transformers as hf
from optimum.exporters.onnx import main_export
from PIL import Image

SIZE = 256
NAMES = {"id2label": {0: "scratch", 1: "dent", 2: "hole"}, "label2id": {"scratch": 0, "dent": 1, "hole": 2}}
BODY = {"embedding_size": 16, "hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 1, 1], "layer_type": "basic"}
FEW = {"d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
HEADS = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_queries": 100}
NO_TIMM = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
SIDES = {"height": SIZE, "width": SIZE}


def body(stages):
    """A small ResNet, and the stages that a detector takes of it."""
    return {"backbone_config": hf.ResNetConfig(**BODY, out_features=stages), **NO_TIMM}


def detr(kind, stages=("stage4",), **more):
    """One of the DETR kind with its image processor."""
    config = getattr(hf, f"{kind}Config")(**body(list(stages)), **FEW, **HEADS, **NAMES, **more)
    return getattr(hf, f"{kind}ForObjectDetection")(config), getattr(hf, f"{kind}ImageProcessor")(size=SIDES)


def masks(kind, **more):
    """MaskFormer or Mask2Former over a Swin of a few channels."""
    swin = hf.SwinConfig(embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8], image_size=SIZE, window_size=4,
                         out_features=["stage1", "stage2", "stage3", "stage4"])  # fmt: skip
    config = getattr(hf, f"{kind}Config")(backbone_config=swin, mask_feature_size=32, **more, **NAMES)
    processor = getattr(hf, f"{kind}ImageProcessor")(size=SIDES, ignore_index=255)
    return getattr(hf, f"{kind}ForInstanceSegmentation" if kind == "MaskFormer" else f"{kind}ForUniversalSegmentation")(
        config
    ), processor


def small(kind, processor, task="ImageClassification", **more):
    """A model of one kind, and the image processor that its published ones have."""
    config = getattr(hf, f"{kind}Config")(**more, **NAMES)
    return getattr(hf, f"{kind}For{task}")(config), getattr(hf, f"{processor}ImageProcessor")()


def makers():
    """Name, task of optimum's ("" where it does not know the kind), and what makes model and processor."""
    transformer = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    hidden = {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 80, 128], "decoder_hidden_size": 64}
    mask2 = {"feature_size": 32, "hidden_dim": 32, "encoder_feedforward_dim": 64, "dim_feedforward": 64,
             "encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 4, "num_queries": 20}  # fmt: skip
    decoder = {"decoder_config": hf.DetrConfig(**body(["stage4"]), **FEW, **HEADS), "fpn_feature_size": 32}
    deform = {"num_feature_levels": 3, "encoder_n_points": 2, "decoder_n_points": 2, "two_stage": False}
    classify = "image-classification"
    return {
        "vit": (classify, lambda: small("ViT", "ViT", **transformer, image_size=224)),
        "resnet": (classify, lambda: small("ResNet", "ConvNext", **BODY)),
        "swin": (classify, lambda: small("Swin", "ViT", embed_dim=16, depths=[1, 1], num_heads=[2, 4], window_size=7)),
        "convnext": (classify, lambda: small("ConvNext", "ConvNext", hidden_sizes=[16, 32, 48, 64], depths=[1] * 4)),
        "mobilenetv2": (classify, lambda: small("MobileNetV2", "MobileNetV2", depth_multiplier=0.35)),
        "segformer": (
            "semantic-segmentation",
            lambda: small("Segformer", "Segformer", "SemanticSegmentation", **hidden),
        ),
        "maskformer": ("image-segmentation", lambda: masks("MaskFormer", **decoder)),
        "mask2former": ("", lambda: masks("Mask2Former", **mask2)),
        "conditional-detr": ("", lambda: detr("ConditionalDetr")),
        "deformable-detr": ("", lambda: detr("DeformableDetr", ("stage2", "stage3", "stage4"), **deform)),
        "table-transformer": ("object-detection", lambda: table()),
    }


def table():
    """Table Transformer takes DETR's processor."""
    config = hf.TableTransformerConfig(**body(["stage4"]), **FEW, **HEADS, **NAMES)
    return hf.TableTransformerForObjectDetection(config), hf.DetrImageProcessor(size=SIDES)


def spread(model, inputs):
    """Fill the norms' statistics, and scale the last layers, so that answers differ."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        model(**inputs)
    model.eval()
    for name, module in model.named_modules():
        wanted = ("class_embed", "class_labels_classifier", "class_predictor", "classifier", "score_head")
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and name.rpartition(".")[2] in wanted:
            with torch.no_grad():
                out = model(**inputs)
                found = getattr(out, "logits", None)
                found = found if found is not None else out.class_queries_logits
                axes = (0, 2, 3) if found.dim() == 4 else tuple(range(found.dim() - 1))
                module.weight *= 3 / found.std(dim=axes).clamp(min=1e-3).mean()
                if module.bias is not None:  # classes as often as one another, and no score that is always 1
                    out = model(**inputs)
                    again = getattr(out, "logits", None)
                    again = again if again is not None else out.class_queries_logits
                    module.bias -= again.mean(dim=axes)
            break


class Named(torch.nn.Module):
    """A model whose outputs have transformers' names."""

    def __init__(self, model, names):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, pixel_values):
        """Give them in order."""
        out = self.model(pixel_values=pixel_values)
        return tuple(out[name] for name in self.names)


def exported(model, folder, inputs):
    """By torch, what optimum does not know."""
    masked = hasattr(model.config, "mask_feature_size")
    names = ("class_queries_logits", "masks_queries_logits") if masked else ("logits", "pred_boxes")
    given = inputs["pixel_values"][:1]
    torch.onnx.export(
        Named(model, names), (given,), str(folder / "model.onnx"), opset_version=17, dynamo=False,
        input_names=["pixel_values"], output_names=list(names),
    )  # fmt: skip


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def answers(processor, out, size):
    """What transformers' own post-processing makes of the outputs; `size` is height and width of the picture."""
    given = SimpleNamespace(**{name: torch.from_numpy(value) for name, value in out.items()})
    if "pred_boxes" in out:
        found = processor.post_process_object_detection(given, threshold=0.2, target_sizes=[size])[0]
        rows = zip(found["boxes"], found["scores"], found["labels"])
        return [{"box": box.tolist(), "score": float(s), "class": int(k)} for box, s, k in rows]
    if "masks_queries_logits" in out:
        found = processor.post_process_instance_segmentation(
            given, threshold=0.2, target_sizes=[size], return_binary_maps=True
        )[0]
        rows = []
        for info in found["segments_info"]:
            mask = found["segmentation"][info["id"]].numpy() > 0
            down, across = np.nonzero(mask)
            box = [across.min(), down.min(), across.max() + 1, down.max() + 1] if mask.any() else [0, 0, 0, 0]
            row = {"box": [float(v) for v in box], "score": info["score"], "class": info["label_id"]}
            rows.append({**row, "mask": runs(mask)})
        return rows
    if out["logits"].ndim == 4:
        whole = processor.post_process_semantic_segmentation(given, target_sizes=[size])[0].numpy()
        return [{"class": int(k), "score": 1.0, "mask": runs(whole == k)} for k in np.unique(whole)]
    chances = given.logits[0].softmax(-1)
    return [{"class": int(chances.argmax()), "score": float(chances.max())}]


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    pictures, models, wanted = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2]), sys.argv[3:]
    images = [Image.open(path).convert("RGB") for path in pictures]
    for name, (task, make) in makers().items():
        if wanted and name not in wanted:
            continue
        torch.manual_seed(0)
        folder = models / f"hf-{name}"
        folder.mkdir(exist_ok=True)
        try:
            model, processor = make()
            inputs = processor(images=images, return_tensors="pt")
            model.eval()
            spread(model, {"pixel_values": inputs["pixel_values"]})
            model.save_pretrained(folder)
            processor.save_pretrained(folder)
            if task:
                main_export(str(folder), folder, task=task, do_validation=False)
            else:
                exported(model, folder, inputs)
            (folder / "model.safetensors").unlink()  # as optimum-cli leaves a folder
            session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
        except Exception as error:  # noqa: BLE001
            print(name, "FAILED", type(error).__name__, str(error)[:300], flush=True)
            continue
        rows = {}
        for path, image in zip(pictures, images):
            given = processor(images=image, return_tensors="np")
            feed = {value.name: given[value.name] for value in session.get_inputs()}
            out = dict(zip([value.name for value in session.get_outputs()], session.run(None, feed)))
            rows[path.name] = answers(processor, out, (image.height, image.width))
        folder.with_name(f"{folder.name}.answers.json").write_text(json.dumps(rows))
        print(folder.name, {key: len(found) for key, found in rows.items()}, flush=True)


main()
