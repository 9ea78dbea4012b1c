import json

import numpy as np
import pytest

from edge_runtime.errors import DataError
from edge_runtime.station.thresholds.labelled import Truth, read_labelled

TRUTH = Truth(("open", "short"), ("short",))


@pytest.fixture
def picture(tmp_path):
    import cv2

    def write(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
        return tmp_path

    return write


def told(place, truth=TRUTH):
    return {one.path.name: one.bad for one in read_labelled(place, truth)}


def test_folders_ok_and_ng(picture):
    assert told(picture("OK/a.png", "ok-not/x.png", "ng/deep/b.png")) == {"a.png": False, "b.png": True}


def test_folders_of_which_one_is_good(picture):
    place = picture("good/a.png", "hole/b.png", "crack/c.png")
    assert told(place) == {"a.png": False, "b.png": True, "c.png": True}
    place = picture("fine/d.png")
    assert told(place, Truth(good=("fine",)))["d.png"] is False


def test_coco(picture):
    place = picture("images/a.png", "images/b.png", "images/c.png")
    data = {
        "categories": [{"id": 1, "name": "open"}, {"id": 5, "name": "short"}],
        "images": [{"id": n, "file_name": f"{name}.png"} for n, name in enumerate("abc")],
        "annotations": [{"image_id": 0, "category_id": 5}, {"image_id": 1, "category_id": 1}],
    }
    (place / "annotations").mkdir()
    file = place / "annotations/instances.json"
    file.write_text(json.dumps(data))
    assert told(place) == told(file) == {"a.png": True, "b.png": False, "c.png": False}
    assert told(place, Truth())["b.png"] is True
    with pytest.raises(DataError, match="has none of the classes that are looked for, scratch; it has open, short"):
        told(place, Truth(("scratch",), ("scratch",)))
    data["annotations"].append({"image_id": 9, "category_id": 5})
    file.write_text(json.dumps(data))
    with pytest.raises(DataError, match="is no file of COCO's annotations"):
        told(place)


def test_yolo_and_dota(picture):
    place = picture("images/a.png", "images/b.png", "images/c.png")
    (place / "labels").mkdir()
    (place / "labels/a.txt").write_text("1 0.5 0.5 0.1 0.1\n\n0 0.5 0.5 0.1 0.1\n")
    (place / "labels/b.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DataError, match=r"1 pictures of .* have no label file, c.png for one"):
        told(place)
    (place / "labels/c.txt").write_text("")
    assert told(place) == {"a.png": True, "b.png": False, "c.png": False}
    (place / "labels/c.txt").write_text("2 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DataError, match=r"c.txt:1: this is no label"):
        told(place)
    (place / "labels").rename(place / "labelTxt")
    (place / "labelTxt/a.txt").write_text("imagesource:x\n1 1 2 1 2 2 1 2 short 0\n")
    for name in "bc":
        (place / f"labelTxt/{name}.txt").write_text("1 1 2 1 2 2 1 2 open 0\n")
    assert told(place) == {"a.png": True, "b.png": False, "c.png": False}


def test_pairs_of_deeppcb(picture):
    place = picture("g/1_test.jpg", "g/2.jpg")
    (place / "g_not").mkdir()
    (place / "g_not/1.txt").write_text("1 1 3 3 2\n")
    (place / "g_not/2.txt").write_text("1 1 3 3 1\n")
    (place / "test.txt").write_text("g/1.jpg g_not/1.txt\ng/2.jpg g_not/2.txt\n")
    assert told(place) == told(place / "test.txt") == {"1_test.jpg": True, "2.jpg": False}
    (place / "g_not/2.txt").write_text("1 1 3 3 7\n")
    with pytest.raises(DataError, match=r"2.txt:1: this is no label"):
        told(place)


def test_nothing_known_is_said(picture, tmp_path):
    with pytest.raises(DataError, match="no labelled pictures in"):
        told(picture("a.png"))
    with pytest.raises(DataError, match="is not there"):
        told(tmp_path / "none")
