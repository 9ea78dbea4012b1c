"""Real models on real photographs: each manifest here is right when the model sees what is there."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from places import SHARED_DATA

from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Postprocess, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.results import Box, Result
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.preprocess import Preprocessor
from edge_runtime.vision.settings import Settings

DATA = SHARED_DATA
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the development data, ../shared/data, is absent")

PHOTOS = "coco128/images/train2017"
YOLOX = (
    Preprocess(416, 416, "letterbox", "top-left", colour="bgr", scale=1.0),
    Detect(format="grid", axis="channels-last", strides=(8, 16, 32), objectness=True),
)
FASTEST = (Preprocess(352, 352, colour="bgr"), Detect(format="fastest"))
FASTEST_ROWS = (Preprocess(352, 352, colour="bgr"), Detect(format="yolo-objectness"))
ST_SSD = (
    Preprocess(256, 256, mean=(0.5,) * 3, std=(0.5,) * 3),
    Detect(
        format="boxes-scores",
        outputs=("bboxes_concat", "classes_softmax", "anchors_concat"),
        box="xyxy",
        normalized=True,
        background="first",
    ),
)
ULTRAFACE = (
    Preprocess(320, 240, scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3),
    Detect(format="boxes-scores", outputs=("boxes", "scores"), box="xyxy", normalized=True, background="first"),
)
DEEPLAB = (
    Preprocess(257, 257, mean=(0.5,) * 3, std=(0.5,) * 3, layout="nhwc"),
    Segment(axis="channels-last", activation="softmax"),
)
SQUEEZENET = (
    Preprocess(
        224,
        224,
        "crop",
        resize_short=256,
        interpolation="pil-bilinear",
        colour="bgr",
        scale=1.0,
        mean=(104.0, 117.0, 123.0),
        dtype="float16",
    ),
    Classify(activation="none"),
)
PCB_AOI = (
    Preprocess(227, 227, "crop", resize_short=256, colour="bgr", scale=1.0),
    Classify(activation="none"),
)


def run(
    model: str,
    pre: Preprocess,
    post: Postprocess,
    images: list[NDArray[np.uint8]],
    labels: tuple[str, ...] = (),
    rule: VerdictRule | None = None,
) -> list[Result]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(DATA / model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    facts = ModelFacts(
        inputs=(),
        outputs=tuple(TensorSpec(name, "float32", ("N",)) for name in names),
        preprocess=pre,
        postprocess=post,
        labels=labels,
        thresholds=Thresholds(0.5),
        verdict=rule or VerdictRule(),
    )
    results = []
    for image in images:  # these graphs have a fixed batch of one
        tensor, placements = Preprocessor(pre).batch([image])
        outputs = dict(zip(names, session.run(names, {session.get_inputs()[0].name: tensor}), strict=True))
        results.extend(interpret(facts, outputs, placements, Settings.of(facts)))
    return results


def read(name: str) -> NDArray[np.uint8]:
    image = cv2.imread(str(DATA / name))
    assert image is not None
    return np.asarray(image, np.uint8)


def truth(photo: str, class_id: int, image: NDArray[np.uint8]) -> list[Box]:
    """The annotated boxes of one class, in pixels."""
    height, width = image.shape[:2]
    rows = np.loadtxt(DATA / "coco128/labels/train2017" / f"{photo}.txt", ndmin=2)
    return [
        Box((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
        for label, x, y, w, h in rows.tolist()
        if label == class_id
    ]


def overlap(one: Box, other: Box) -> float:
    width = max(min(one.x2, other.x2) - max(one.x1, other.x1), 0)
    height = max(min(one.y2, other.y2) - max(one.y1, other.y1), 0)
    areas = sum((box.x2 - box.x1) * (box.y2 - box.y1) for box in (one, other))
    return width * height / (areas - width * height)


@pytest.mark.parametrize(
    ("model", "spec", "photo", "class_id"),
    [
        ("iinfer_yolox_nano_coco", YOLOX, "000000000025", 23),  # a giraffe
        ("opencvzoo_yolox_nano_coco", YOLOX, "000000000241", 0),  # people
        ("dogqiuqiu_FastestDet_coco", FASTEST, "000000000241", 0),
        ("ortext_FastestDet_ppp", FASTEST_ROWS, "000000000241", 0),
        ("st_ssd_mobilenet_v1_025_256", ST_SSD, "000000000241", 0),
    ],
)
def test_a_detector_finds_the_largest_object(
    model: str, spec: tuple[Preprocess, Detect], photo: str, class_id: int
) -> None:
    image = read(f"{PHOTOS}/{photo}.jpg")
    (result,) = run(f"models/{model}.onnx", *spec, [image])
    largest = max(truth(photo, class_id, image), key=lambda box: (box.x2 - box.x1) * (box.y2 - box.y1))
    assert result.predictions[0].class_id == class_id
    assert max(overlap(p.box, largest) for p in result.predictions if p.box and p.class_id == class_id) > 0.7


def test_a_face_detector_finds_three_faces_on_three_people() -> None:
    image = read(f"{PHOTOS}/000000000241.jpg")
    (result,) = run("models/ultraface_version-RFB-320.onnx", *ULTRAFACE, [image], ("face",), VerdictRule("any"))
    people = truth("000000000241", 0, image)
    assert result.reasons == ("face x3",)
    for face in result.predictions:
        assert face.box is not None
        x, y = (face.box.x1 + face.box.x2) / 2, (face.box.y1 + face.box.y2) / 2
        assert any(box.x1 < x < box.x2 and box.y1 < y < box.y2 for box in people)


def test_a_segmentation_covers_the_person() -> None:
    image = read(f"{PHOTOS}/000000000326.jpg")
    (result,) = run("models/tfex_deeplabv3_257_mv_gpu.onnx", *DEEPLAB, [image])
    largest = result.predictions[0]
    (person,) = truth("000000000326", 0, image)
    assert largest.class_id == 15
    assert largest.box is not None
    assert overlap(largest.box, person) > 0.8
    assert result.mask is not None
    assert result.mask.shape == image.shape[:2]
    assert float((result.mask == 15).mean()) == pytest.approx(largest.area, abs=0.01)


def test_a_classifier_names_most_photographs() -> None:
    lines = [line.rsplit(",", 1) for line in (DATA / "imagenet/dataset.txt").read_text().splitlines()[:12]]
    images = [read(f"imagenet/{path.strip()}") for path, _ in lines]
    results = run("models/winml_squeezenet_fp16.onnx", *SQUEEZENET, images)
    named = [result.predictions[0].class_id for result in results]
    assert sum(found == int(wanted) for found, (_, wanted) in zip(named, lines, strict=True)) >= 8


def test_real_boards_are_judged_right() -> None:
    names = ("Defective_02", "Defective_25", "Normal_33", "Normal_35")
    results = run(
        "pcb-aoi/pcb-aoi_opset13.onnx",
        *PCB_AOI,
        [read(f"pcb-aoi/{name}.png") for name in names],
        ("Defective", "Normal"),
        VerdictRule("class", ok_classes=("Normal",)),
    )
    assert [result.verdict for result in results] == ["NG", "NG", "OK", "OK"]
    assert min(result.predictions[0].confidence for result in results) > 0.9
