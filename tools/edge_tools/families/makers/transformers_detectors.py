"""Detectors of transformers with small configurations and random weights that find something, as optimum exports them.

    pip install transformers==4.57.* optimum-onnx onnx onnxruntime torch pillow scipy
    python transformers_detectors.py MODELS
    python transformers_answers.py PICTURES MODELS/hf-detr MODELS/hf-dfine ...

A trained checkpoint does as well: `optimum-cli export onnx --model CHECKPOINT --task object-detection MODELS/hf-NAME`.
"""

import sys
import tempfile
from pathlib import Path

import torch
from optimum.exporters.onnx import main_export
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    DetrImageProcessor,
    DFineConfig,
    DFineForObjectDetection,
    ResNetConfig,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
    YolosConfig,
    YolosForObjectDetection,
    YolosImageProcessor,
)

SIZE = {"height": 320, "width": 320}
NAMES = {0: "scratch", 1: "dent", 2: "hole"}
LABELS = {"id2label": NAMES, "label2id": {name: index for index, name in NAMES.items()}}
WIDTHS = {"embedding_size": 16, "hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 1, 1], "layer_type": "basic"}
THREE = {"out_features": ["stage2", "stage3", "stage4"]}
SMALL = {
    "d_model": 64,
    "encoder_hidden_dim": 64,
    "encoder_in_channels": [32, 64, 128],
    "decoder_in_channels": [64, 64, 64],
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "decoder_layers": 1,
    "num_queries": 20,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    **LABELS,
}


def livened(model):
    """Give layers weights that let the picture through, and heads no bias that keeps an untrained one silent."""
    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            torch.nn.init.kaiming_normal_(module.weight)
    heads = ("class_embed", "class_labels_classifier", "score_head")
    for name, weight in model.named_parameters():
        if any(head in name for head in heads):
            torch.nn.init.normal_(weight, std=0.25) if weight.dim() == 2 else torch.nn.init.constant_(weight, -1.0)
    if hasattr(model, "class_labels_classifier"):  # a softmax, whose last class is nothing
        layer = model.class_labels_classifier
        torch.nn.init.constant_(getattr(layer, "layers", [layer])[-1].bias, 0.0)
    return model.eval()


def detr():
    """DETR, its backbone one of transformers' own."""
    attention = {f"{part}_{what}": 4 if what == "attention_heads" else 64
                 for part in ("encoder", "decoder") for what in ("attention_heads", "ffn_dim")}  # fmt: skip
    backbone = ResNetConfig(**WIDTHS, out_features=["stage4"])
    own = {"backbone_config": backbone, "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
    layers = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 64, "num_queries": 20}
    return DetrForObjectDetection(DetrConfig(**own, **layers, **attention, **LABELS)), DetrImageProcessor(size=SIZE)


def yolos():
    """YOLOS."""
    widths = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = YolosConfig(**widths, image_size=[320, 320], num_detection_tokens=20, **LABELS)
    return YolosForObjectDetection(config), YolosImageProcessor(size=SIZE)


def rtdetr(config, kind):
    """RT-DETR or its second version."""
    return kind(config(**SMALL, backbone_config=RTDetrResNetConfig(**WIDTHS, **THREE))), RTDetrImageProcessor(size=SIZE)


def dfine():
    """D-FINE."""
    config = DFineConfig(**SMALL)
    return DFineForObjectDetection(config), RTDetrImageProcessor(size=SIZE)


MADE = {
    "detr": detr,
    "yolos": yolos,
    "rtdetr": lambda: rtdetr(RTDetrConfig, RTDetrForObjectDetection),
    "rtdetrv2": lambda: rtdetr(RTDetrV2Config, RTDetrV2ForObjectDetection),
    "dfine": dfine,
}


def main():
    """Save each checkpoint and have it exported."""
    models = Path(sys.argv[1])
    for name, make in MADE.items():
        torch.manual_seed(0)
        model, processor = make()
        with tempfile.TemporaryDirectory() as work:
            livened(model).save_pretrained(work)
            processor.save_pretrained(work)
            main_export(work, models / f"hf-{name}", task="object-detection", do_validation=False)
        print("made", f"hf-{name}", flush=True)


main()
