"""What is known of the models that the tables are made from: most of those files carry no metadata.

Keyed by file name. The classifiers' top-1 on ImageNet images and the detectors' mAP on coco128 were checked with the
FP32 files; other settings are their authors' conventions, and tensors are taken as they are (Raw).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge_runtime.bundle.postprocess_spec import Classify, Detect, Postprocess, Raw, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["KNOWN", "UNKNOWN", "DataKind", "KnownModel"]

DataKind = Literal["imagenet", "coco128", "noise"]


@dataclass(frozen=True)
class KnownModel:
    """`data` names the images (a folder of the data) or the noise it is calibrated on; `evaluate`: also measured.

    A model with several inputs gets tensors: images through `more_inputs`, constants, noise for the rest.
    """

    preprocess: Preprocess | None = None
    postprocess: Postprocess = field(default_factory=Raw)
    data: DataKind = "noise"
    evaluate: bool = False
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    more_inputs: Mapping[str, Preprocess] = field(default_factory=dict)
    constants: Mapping[str, int] = field(default_factory=dict)


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as torchvision has them


def _torch(size: int, short: int = 0) -> Preprocess:
    """ImageNet's usual input: the centre of the image, or the whole of it stretched when `short` is 0."""
    fit: Literal["crop", "stretch"] = "crop" if short else "stretch"
    return Preprocess(size, size, fit=fit, resize_short=short, mean=_MEAN, std=_STD)


def _signed(size: int, layout: Literal["nchw", "nhwc"]) -> Preprocess:
    """TensorFlow's usual input: -1..1."""
    return Preprocess(size, size, scale=1 / 127.5, mean=(1.0, 1.0, 1.0), layout=layout)


def _bytes(size: int) -> Preprocess:
    """A quantized TensorFlow Lite input: the pixel less 128."""
    return Preprocess(size, size, scale=1.0, mean=(128.0, 128.0, 128.0), layout="nhwc", dtype="int8")


_YOLOX = KnownModel(
    Preprocess(416, 416, fit="letterbox", anchor="top-left", colour="bgr", scale=1.0),
    Detect(format="grid", strides=(8, 16, 32), objectness=True),
    "coco128",
    evaluate=True,
)

UNKNOWN = KnownModel()

KNOWN: dict[str, KnownModel] = {
    "coral_mobilenet_v2_1.0_224_quant.onnx": KnownModel(
        Preprocess(224, 224, fit="crop", resize_short=256, scale=1.0, layout="nhwc", dtype="uint8"),
        Classify(activation="none", first_class=1),
        "imagenet",
        evaluate=True,
    ),
    "dogqiuqiu_FastestDet_coco.onnx": KnownModel(
        Preprocess(352, 352, colour="bgr"), Detect(format="fastest"), "coco128", evaluate=True
    ),
    "hyperlpr_y5fu_320x_sim.onnx": KnownModel(Preprocess(320, 320, fit="letterbox"), data="coco128"),
    "iinfer_yolox_nano_coco.onnx": _YOLOX,
    "mlperftiny_resnet8_float.onnx": KnownModel(
        Preprocess(32, 32, scale=1.0, layout="nhwc"), Classify(activation="none"), "coco128"
    ),
    "mlperftiny_resnet8_int8.onnx": KnownModel(_bytes(32), data="coco128"),
    "mlperftiny_vww96_float.onnx": KnownModel(
        Preprocess(96, 96, layout="nhwc"), Classify(activation="none", top_k=2), "coco128"
    ),
    "mlperftiny_vww96_int8.onnx": KnownModel(_bytes(96), data="coco128"),
    "onnxmodels_shufflenet-v2-12-int8.onnx": KnownModel(_torch(224, 256), Classify(), "imagenet", evaluate=True),
    "onnxmodels_super_resolution.onnx": KnownModel(
        Preprocess(224, 224, colour="gray", mean=(0.0,), std=(1.0,)), data="coco128"
    ),
    "opencvzoo_ppocrv3_det_ch.onnx": KnownModel(
        Preprocess(480, 480, mean=_MEAN, std=_STD), data="coco128", input_shapes={"x": (1, 3, 480, 480)}
    ),
    "opencvzoo_vitTracker.onnx": KnownModel(
        data="coco128", more_inputs={"template": _torch(128), "search": _torch(256)}
    ),
    "opencvzoo_yolox_nano_coco.onnx": _YOLOX,
    "ort_maui_mobilenetv2_qdq.onnx": KnownModel(_torch(244, 256), Classify(), "imagenet", evaluate=True),
    "ort_nuphar_tiny_model_with_loop.onnx": KnownModel(input_shapes={"input": (5, 1, 10)}),
    "ort_simplified_ssd.onnx": KnownModel(_torch(300), data="coco128"),
    "ort_squeezenet_tensor_input.onnx": KnownModel(
        Preprocess(227, 227, colour="bgr", scale=1.0, mean=(104.0, 117.0, 123.0)), data="imagenet"
    ),
    "ortext_FastestDet_ppp.onnx": KnownModel(
        Preprocess(352, 352, colour="bgr"),
        Detect(format="yolo-objectness"),
        "coco128",
        evaluate=True,
    ),
    "rapidocr_ch_mobile_v1.1_det.onnx": KnownModel(
        Preprocess(320, 320, mean=_MEAN, std=_STD), data="coco128", input_shapes={"image": (1, 3, 320, 320)}
    ),
    "silero_vad.onnx": KnownModel(input_shapes={"input": (1, 512), "state": (2, 1, 128)}, constants={"sr": 16000}),
    "silero_vad_half.onnx": KnownModel(input_shapes={"input": (1, 512), "state": (2, 1, 128)}),
    "st_mobilenet_v2_0.35_128_tfs.onnx": KnownModel(_signed(128, "nchw"), Classify(activation="none"), "imagenet"),
    "st_ssd_mobilenet_v1_025_256.onnx": KnownModel(
        _signed(256, "nchw"),
        Detect(
            format="boxes-scores",
            outputs=("bboxes_concat", "classes_softmax", "anchors_concat"),
            box="xyxy",
            normalized=True,
            background="first",
        ),
        "coco128",
    ),
    "tfex_deeplabv3_257_mv_gpu.onnx": KnownModel(
        _signed(257, "nhwc"), Segment(axis="channels-last", activation="softmax"), "coco128"
    ),
    "ultraface_version-RFB-320.onnx": KnownModel(
        Preprocess(320, 240, scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3),
        Detect(
            format="boxes-scores",
            outputs=("boxes", "scores"),
            box="xyxy",
            normalized=True,
            background="first",
        ),
        "coco128",
    ),
    "winml_squeezenet_fp16.onnx": KnownModel(
        Preprocess(
            224,
            224,
            fit="crop",
            resize_short=256,
            colour="bgr",
            scale=1.0,
            mean=(103.94, 116.78, 123.68),
            dtype="float16",
        ),
        Classify(activation="none"),
        "imagenet",
        evaluate=True,
    ),
}
