"""Label formats: what is read, what is detected, and what is refused with file and line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from places import SHARED_DATA

from edge_export.evaluate.data import BoxTruth, ClassTruth, LabelledSet, MaskTruth, map_classes, open_labelled
from edge_export.evaluate.data.masks import read_mask
from edge_export.evaluate.data.outlines import Polygons, mask_of
from edge_runtime.errors import DataError

SHARED = SHARED_DATA
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data, which is not there")


def picture(path: Path, width: int = 40, height: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((height, width, 3), dtype=np.uint8))
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def boxes(labelled: LabelledSet, index: int = 0) -> BoxTruth:
    truth = labelled.items[index].truth
    assert isinstance(truth, BoxTruth)
    return truth


def test_yolo_fractions_become_pixels_of_the_image(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "3 0.5 0.5 0.5 0.2\n")
    labelled = open_labelled(tmp_path)
    assert labelled.format == "YOLO labels"
    assert boxes(labelled).pixels(40, 20).tolist() == [[10.0, 8.0, 30.0, 12.0]]
    assert boxes(labelled).classes.tolist() == [3]


def test_a_yolo_polygon_becomes_the_box_around_it(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 0.1 0.5 0.4 0.2 0.3 0.9\n")
    assert boxes(open_labelled(tmp_path)).boxes.tolist() == [[0.1, 0.2, 0.4, 0.9]]


def test_a_missing_yolo_label_file_means_no_objects_and_is_reported(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "train" / "a.png")
    picture(tmp_path / "images" / "train" / "b.png")
    text(tmp_path / "labels" / "train" / "b.txt", "0 0.5 0.5 0.1 0.1\n")
    labelled = open_labelled(tmp_path)
    assert [len(boxes(labelled, i).classes) for i in (0, 1)] == [0, 1]
    assert labelled.notes == ("1 of 2 images have no label file: taken as showing no object",)


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.1", "x 0.5 0.5 0.1 0.1", "0 5 5 1 1", "0 nan 0.5 0.1 0.1", "-1 0 0 1 1"])
def test_a_malformed_yolo_line_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(DataError, match=r"a\.txt:2: expected `class cx cy w h`"):
        open_labelled(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "names: [cat, dog]\n",
        "names: ['cat', 'dog']\n",
        "names:\n  0: cat\n  1: dog\nnc: 2\n",
        "names:\n- cat\n- dog\n",
        "names: {0: cat, 1: dog}\n",
        "names: [cat,\n  dog]\n",
        'download: |\n  names: [a]\nnames: &n\n  - cat # a comment\n  - "dog"\nval: *n\n',
    ],
)
def test_yolo_names_are_read_however_they_are_written(tmp_path: Path, content: str) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "")
    text(tmp_path / "data.yaml", "train: images # here\n" + content)
    assert open_labelled(tmp_path).names == ("cat", "dog")


def test_yolo_names_are_the_texts_that_they_look_like(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "")
    text(tmp_path / "data.yaml", "names: [no, 0123, 1:30, 2020-01-01, 'a: b', ~]\n")
    assert open_labelled(tmp_path).names == ("no", "0123", "1:30", "2020-01-01", "a: b", "~")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("names:\n- cat\n- @dog\n", r"data.yaml: cannot read the `names:` entry: line 3: this is no YAML"),
        ("names:\n- cat\n- a: b\n", r"data.yaml: expected a name for class 1, found \{a: b\}; put it in quotes"),
        ("names: {cat: 0}\n", r"data.yaml: cannot read the `names:` entry, \{cat: 0\}; write it as"),
        ("names: cat\n", r"data.yaml: cannot read the `names:` entry, cat; write it as"),
        ("names: {100001: cat}\n", r"class index 100001 in `names:` is out of range"),
    ],
)
def test_yolo_names_that_cannot_be_read_are_said(tmp_path: Path, content: str, said: str) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "")
    text(tmp_path / "data.yaml", content)
    with pytest.raises(DataError, match=said):
        open_labelled(tmp_path)


def test_another_file_beside_the_data_may_be_anything(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "")
    text(tmp_path / "a.yaml", "- @no: [yaml\n")
    text(tmp_path / "data.yaml", "names: [cat]\n")
    assert open_labelled(tmp_path).names == ("cat",)


def coco(folder: Path, **changes: object) -> Path:
    picture(folder / "images" / "val2017" / "x.png")
    picture(folder / "images" / "val2017" / "y.png")
    data: dict[str, object] = {
        "images": [{"id": 5, "file_name": "y.png"}, {"id": 9, "file_name": "x.png"}],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"image_id": 9, "category_id": 90, "bbox": [1, 2, 3, 4], "iscrowd": 0},
            {"image_id": 9, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
        **changes,
    }
    return text(folder / "annotations" / "instances_val2017.json", json.dumps(data))


def test_coco_ids_are_renumbered_in_their_order(tmp_path: Path) -> None:
    coco(tmp_path)
    labelled = open_labelled(tmp_path)
    assert labelled.names == ("person", "toothbrush")
    assert [item.path.name for item in labelled.items] == ["x.png", "y.png"]
    assert boxes(labelled).classes.tolist() == [1, 0]
    assert boxes(labelled).boxes.tolist() == [[1, 2, 4, 6], [0, 0, 9, 9]]
    assert boxes(labelled).crowd.tolist() == [False, True]
    assert len(boxes(labelled, 1).classes) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": [{"image_id": 9, "category_id": 2, "bbox": [1, 2, 3, 4]}]}, r"annotations\[0\]"),
        ({"annotations": [{"image_id": 9, "category_id": 1, "bbox": [1, 2, 3]}]}, r"annotations\[0\]"),
        ({"annotations": 7}, "list of objects 'annotations'"),
        ({"images": [{"file_name": "x.png"}]}, "integer 'id'"),
        ({"images": []}, "empty"),
        ({"images": [{"id": 1, "file_name": "zzz.png"}]}, "zzz.png"),
    ],
)
def test_damaged_coco_annotations_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    coco(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        open_labelled(tmp_path)


def test_deeppcb_names_the_tested_scan_and_counts_types_from_one(tmp_path: Path) -> None:
    picture(tmp_path / "g" / "1_test.jpg")
    picture(tmp_path / "g" / "1_temp.jpg")
    text(tmp_path / "g_not" / "1.txt", "1 2 11 12 1\n3 4 13 14 6")
    text(tmp_path / "trainval.txt", "g/1.jpg g_not/1.txt\n")
    labelled = open_labelled(tmp_path)
    assert labelled.format == "DeepPCB"
    assert labelled.items[0].path.name == "1_test.jpg"
    assert boxes(labelled).classes.tolist() == [0, 5]
    assert open_labelled(tmp_path / "trainval.txt").format == "DeepPCB"


@pytest.mark.parametrize("line", ["1 2 11 12 7", "1 2 11 12", "11 2 1 12 1", "a b c d e"])
def test_a_malformed_deeppcb_line_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    picture(tmp_path / "g" / "1_test.jpg")
    text(tmp_path / "g_not" / "1.txt", line)
    text(tmp_path / "test.txt", "g/1.jpg g_not/1.txt\n")
    with pytest.raises(DataError, match=r"1\.txt:1: expected `x1 y1 x2 y2 type`"):
        open_labelled(tmp_path)


def test_class_folders_are_classes_in_sorted_order(tmp_path: Path) -> None:
    for name in ("good/a.png", "bad/b.png", "bad/c.png"):
        picture(tmp_path / name)
    labelled = open_labelled(tmp_path)
    assert labelled.names == ("bad", "good")
    assert [item.truth for item in labelled.items] == [ClassTruth(0), ClassTruth(0), ClassTruth(1)]


def test_a_list_of_images_with_indices_is_read_with_its_names(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "my dog.jpg")
    text(tmp_path / "dataset.txt", "./data/my dog.jpg, 1\n")
    text(tmp_path / "synset_words.txt", "n01440764 tench, Tinca tinca\nn01443537 goldfish\n")
    labelled = open_labelled(tmp_path)
    assert labelled.items[0].truth == ClassTruth(1)
    assert labelled.names == ("tench, Tinca tinca", "goldfish")


@pytest.mark.parametrize("line", ["data/a.jpg", "data/a.jpg, -3", "data/missing.jpg, 3"])
def test_a_bad_line_of_a_list_is_named(tmp_path: Path, line: str) -> None:
    picture(tmp_path / "data" / "a.jpg")
    text(tmp_path / "list.txt", f"data/a.jpg 1\n{line}\n")
    with pytest.raises(DataError, match=r"list\.txt:2"):
        open_labelled(tmp_path)


def palette_png(path: Path, indices: list[list[int]]) -> None:
    """Write a palette PNG with Pillow: OpenCV cannot."""
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = image.fromarray(np.array(indices, dtype=np.uint8), mode=None)
    made = made.convert("L")
    made.putpalette([value for index in range(256) for value in (index, 255 - index, (index * 7) % 256)])
    made.save(path)


def test_masks_are_paired_by_name_and_read_as_indices(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages" / "a.jpg", 3, 2)
    palette_png(tmp_path / "SegmentationClass" / "a.png", [[0, 1, 2], [20, 255, 0]])
    palette_png(tmp_path / "SegmentationClass" / "lost.png", [[0]])
    labelled = open_labelled(tmp_path)
    truth = labelled.items[0].truth
    assert isinstance(truth, MaskTruth)
    assert read_mask(truth.path).tolist() == [[0, 1, 2], [20, 255, 0]]
    assert labelled.notes == ("1 of 2 masks have no image of their name: left out",)


def test_a_mask_of_colours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="grey or palette PNG"):
        read_mask(picture(tmp_path / "a.png"))


def test_a_folder_without_labels_says_what_was_looked_for(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"looked for COCO .* YOLO .* class folders"):
        open_labelled(tmp_path)


def test_a_folder_of_splits_means_the_one_training_did_not_see(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("good", "bad"):
            picture(tmp_path / split / name / f"{split}.png")
    labelled = open_labelled(tmp_path)
    assert {item.path.name for item in labelled.items} == {"val.png"}
    assert labelled.names == ("bad", "good")


def test_a_limit_takes_a_seeded_choice(tmp_path: Path) -> None:
    for index in range(10):
        picture(tmp_path / "ab"[index % 2] / f"{index}.png")
    labelled = open_labelled(tmp_path, limit=4, seed=2)
    assert len(labelled.items) == 4
    assert labelled == open_labelled(tmp_path, limit=4, seed=2)
    assert labelled.description.endswith("4 of 10 images, seed 2")


def test_classes_are_matched_by_name_when_both_sides_have_names() -> None:
    mapping = map_classes(["Dog", "cat", "horse"], ["cat", "dog"])
    assert mapping(np.array([0, 1, 2, 9])).tolist() == [1, 0, -1, -1]
    assert "2 of 3; the model does not know horse" in mapping.how


def test_classes_are_compared_by_index_when_a_side_has_no_names() -> None:
    mapping = map_classes(["dog", "cat"], [])
    assert mapping(np.array([1, 0, 7])).tolist() == [1, 0, 7]
    assert "the model has no names" in mapping.how


def test_names_that_occur_twice_do_not_disturb_an_agreeing_order() -> None:
    names = ["crane", "tench, Tinca tinca", "crane"]
    assert map_classes(names, ["crane", "tench", "crane"]).table is None


def test_names_with_nothing_in_common_are_refused() -> None:
    with pytest.raises(DataError, match="no name in common"):
        map_classes(["dog", "cat"], ["bolt", "nut", "screw"])


@needs_data
def test_the_real_data_sets_are_recognised() -> None:
    found = {name: open_labelled(SHARED / name) for name in ("coco128", "imagenet", "deeppcb")}
    assert {name: (labelled.format, len(labelled.items)) for name, labelled in found.items()} == {
        "coco128": ("YOLO labels", 128),
        "imagenet": ("list of images", 300),
        "deeppcb": ("DeepPCB", 1000),
    }
    assert sum(len(boxes(found["coco128"], i).classes) for i in range(128)) == 929


def test_names_spelled_differently_do_not_disturb_an_agreeing_order() -> None:
    ours = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
    theirs = ("open", "short", "mouse bite", "spur", "spurious_copper", "pinhole")
    assert map_classes(ours, theirs).table is None


def test_coco_segmentations_are_read_in_all_their_forms_where_masks_are_asked_for(tmp_path: Path) -> None:
    rows = [[0, 0, 4, 0, 4, 3, 0, 3]]
    entry = {"image_id": 9, "category_id": 1, "bbox": [0, 0, 4, 3], "area": 12.0}
    runs = {"size": [20, 40], "counts": [0, 3, 17, 3, 17, 3, 17, 3, 737]}
    annotations = [
        {**entry, "segmentation": rows},
        {**entry, "segmentation": runs, "iscrowd": 1},
        {**entry, "segmentation": {"size": [20, 40], "counts": "03a000000`f0"}},
        {**entry, "segmentation": []},
    ]
    path = coco(tmp_path, annotations=annotations)
    assert boxes(open_labelled(path)).outlines == ()
    truth = boxes(open_labelled(path, parts=("masks",)))
    masks = [mask_of(outline, 20, 40) for outline in truth.outlines]
    assert [mask.inside.shape for mask in masks] == [(3, 4), (3, 4), (3, 4), (0, 0)]
    assert all(mask.inside.all() for mask in masks)
    assert truth.areas is not None
    assert truth.areas.tolist() == [12.0] * 4


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[0, 0, "x", 1, 2, 2]], "expected a segmentation of polygons"),
        (7, "expected a segmentation of polygons"),
        ({"size": [20, 40], "counts": [1, 2]}, "expected runs of 800 pixels"),
        ({"size": [20, 40], "counts": "\x7f"}, "cannot be read"),
        ({"size": [20], "counts": [800]}, "cannot be read"),
    ],
)
def test_a_segmentation_that_cannot_be_read_is_named_but_only_where_it_matters(
    tmp_path: Path, segmentation: object, message: str
) -> None:
    entry = {"image_id": 9, "category_id": 1, "bbox": [0, 0, 4, 3], "segmentation": segmentation}
    path = coco(tmp_path, annotations=[entry])
    assert len(boxes(open_labelled(path)).boxes) == 1
    with pytest.raises(DataError, match=rf"annotations\[0\]: .*{message}"):
        open_labelled(path, parts=("masks",))


def test_coco_key_points_are_read_and_their_file_preferred_where_points_are_asked_for(tmp_path: Path) -> None:
    instances = coco(tmp_path)
    data = json.loads(instances.read_text())
    data["annotations"][0]["keypoints"] = [1, 2, 2, 0, 0, 0]
    text(instances.parent / "person_keypoints_val2017.json", json.dumps(data))
    assert open_labelled(tmp_path).format == "COCO instances"
    labelled = open_labelled(tmp_path, parts=("points",))
    assert labelled.format == "COCO key points"
    points = boxes(labelled).points
    assert points is not None
    assert points.tolist() == [[[1, 2, 2], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    data["annotations"][1]["keypoints"] = [1, 2, 2]
    text(instances.parent / "person_keypoints_val2017.json", json.dumps(data))
    with pytest.raises(DataError, match="objects have 1 and 2 key points"):
        open_labelled(tmp_path, parts=("points",))


def test_a_yolo_polygon_is_an_outline_where_masks_or_turned_boxes_are_asked_for(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 0.1 0.5 0.4 0.2 0.3 0.9\n1 0.5 0.5 0.2 0.2\n")
    assert boxes(open_labelled(tmp_path)).outlines == ()
    truth = boxes(open_labelled(tmp_path, parts=("oriented",)))
    rings = [outline.rings for outline in truth.outlines if isinstance(outline, Polygons)]
    assert rings[0][0].tolist() == [[0.1, 0.5], [0.4, 0.2], [0.3, 0.9]]
    assert rings[1] == ()
    assert truth.scale(40, 20) == (40.0, 20.0)


def test_the_corners_of_a_turned_box_may_lie_outside_of_the_image(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    line = text(tmp_path / "labels" / "a.txt", "0 0.1 0.8 0.3 0.7 0.35 1.1 0.15 1.2\n")
    truth = boxes(open_labelled(tmp_path, parts=("oriented",)))
    assert truth.boxes.tolist() == [[0.1, 0.7, 0.35, 1.0]]
    (ring,) = truth.outlines[0].rings
    assert ring.max() == 1.2
    line.write_text("0 0.1 1.8 0.3 1.7 0.35 1.9 0.15 1.95\n")  # its centre does not lie in it
    with pytest.raises(DataError, match="expected `class cx cy w h`"):
        open_labelled(tmp_path)


@pytest.mark.parametrize("shape", ["kpt_shape: [2, 3]", "kpt_shape:\n- 2\n- 3\n", "kpt_shape: [2,3]  # x, y, visible"])
def test_yolo_key_points_are_read_as_data_yaml_shapes_them(tmp_path: Path, shape: str) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "data.yaml", f"names: [a]\n{shape}\n")
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.2 0.4 0.1 0.2 2 0 0 0\n0 0.5 0.5 0.1 0.1\n")
    truth = boxes(open_labelled(tmp_path, parts=("points",)))
    assert truth.boxes.tolist() == [pytest.approx([0.4, 0.3, 0.6, 0.7]), pytest.approx([0.45, 0.45, 0.55, 0.55])]
    assert truth.points is not None
    assert truth.points.tolist() == [[[0.1, 0.2, 2], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    assert boxes(open_labelled(tmp_path)).points is None


def test_yolo_key_points_of_two_values_are_seen_unless_they_lie_outside(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "data.yaml", "kpt_shape: [2, 2]\n")
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.2 0.4 0.1 0.2 -1 -1\n")
    points = boxes(open_labelled(tmp_path, parts=("points",))).points
    assert points is not None
    assert points[0, :, 2].tolist() == [1, 0]


def test_yolo_key_points_without_their_shape_are_said_to_need_it(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.2 0.4 0.1 0.2 2\n")
    with pytest.raises(DataError, match=r"a\.txt:1: .* \(key points need kpt_shape in data.yaml\)"):
        open_labelled(tmp_path)
    text(tmp_path / "data.yaml", "kpt_shape: [9, 4]\n")
    with pytest.raises(DataError, match=r"data.yaml: expected kpt_shape: \[POINTS, 2 or 3\]"):
        open_labelled(tmp_path)


def dota(folder: Path, *lines: str) -> Path:
    picture(folder / "images" / "a.png", 100, 100)
    text(folder / "labelTxt" / "a.txt", "\n".join(["imagesource:GoogleEarth", "gsd:0.146", *lines]) + "\n")
    return folder


def test_dota_corners_are_outlines_and_difficult_objects_are_known(tmp_path: Path) -> None:
    dota(tmp_path, "10 10 30 20 25 30 5 20 small-vehicle 0", "50.5 50 60 50 60 60 51 60 ship 1")
    labelled = open_labelled(tmp_path)
    truth = boxes(labelled)
    assert labelled.format == "DOTA labels"
    assert len(labelled.names) == 15
    assert [labelled.names[index] for index in truth.classes] == ["small-vehicle", "ship"]
    assert truth.boxes.tolist() == [[5, 10, 30, 30], [50.5, 50, 60, 60]]
    assert truth.difficult is not None
    assert truth.difficult.tolist() == [False, True]
    assert isinstance(truth.outlines[0], Polygons)
    assert truth.outlines[0].rings[0].tolist() == [[10, 10], [30, 20], [25, 30], [5, 20]]


def test_names_that_are_not_dotas_are_in_the_order_of_the_alphabet(tmp_path: Path) -> None:
    dota(tmp_path, "0 0 9 0 9 9 0 9 screw 0", "0 0 9 0 9 9 0 9 nut")
    assert open_labelled(tmp_path).names == ("nut", "screw")


@pytest.mark.parametrize(
    "line", ["1 2 3 4 5 6 7 ship 0", "1 2 3 4 5 6 7 x ship 0", "1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 nan a 0"]
)
def test_a_malformed_dota_line_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"a\.txt:3: expected `x1 y1"):
        open_labelled(dota(tmp_path, line))
