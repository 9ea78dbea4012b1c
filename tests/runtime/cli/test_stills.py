"""Pictures in files, as a user gives them: seen whole, each page of them, or NO_READ with the reason."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import run_module
from PIL import Image
from places import ROOT, SAMPLE

from edge_runtime.cli.flags import background_of
from edge_runtime.errors import UsageError

IMAGES = sorted((SAMPLE.parent / "images").glob("*.png"))


def run(folder: Path, *flags: str) -> tuple[dict[str, dict], str]:
    """Run the sample's model on a folder: each record by its picture's name and page, and what stderr says."""
    done = run_module("edge_runtime.cli.run", str(SAMPLE), "--source", ".", "--json", *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {f"{Path(r['image']).name}{r.get('page', '')}": r for r in records}, done.stderr


def verdicts(folder: Path, *flags: str) -> dict[str, str]:
    return {name: record["verdict"] for name, record in run(folder, *flags)[0].items()}


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Return one of the sample's boards that is OK and one that is NG, gray."""
    folder = tmp_path_factory.mktemp("all")
    for path in IMAGES:
        (folder / path.name).write_bytes(path.read_bytes())
    found: dict[str, np.ndarray] = {}
    for name, verdict in verdicts(folder).items():
        picture = cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE)
        found.setdefault(verdict, np.asarray(picture))
    return found


def test_half_a_jpeg_is_not_judged(tmp_path: Path, boards: dict[str, np.ndarray]) -> None:
    whole = cv2.imencode(".jpg", boards["NG"])[1].tobytes()
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    (tmp_path / "zeros.jpg").write_bytes(whole[: len(whole) // 3] + bytes(4096) + whole[len(whole) // 3 + 4096 :])
    assert verdicts(tmp_path) == {"half.jpg": "NO_READ", "whole.jpg": "NG", "zeros.jpg": "NO_READ"}


def test_rows_that_another_program_filled_with_gray_are_not_judged_in_a_whole_file(
    tmp_path: Path, boards: dict[str, np.ndarray]
) -> None:
    filled = boards["NG"].copy()
    filled[len(filled) // 3 :] = 128
    cv2.imwrite(str(tmp_path / "filled.png"), filled)
    cv2.imwrite(str(tmp_path / "whole.png"), boards["NG"])
    records, _ = run(tmp_path)
    assert {name: record["verdict"] for name, record in records.items()} == {"filled.png": "NO_READ", "whole.png": "NG"}
    assert records["filled.png"]["reasons"] == ["never filled: gray 128 from row 213 of 640 on"]
    assert verdicts(tmp_path, "--health", "off")["filled.png"] != "NO_READ"


def test_the_light_of_twelve_bits_is_not_lost_and_transparency_is_not_black(
    tmp_path: Path, boards: dict[str, np.ndarray]
) -> None:
    gray = boards["NG"]
    cv2.imwrite(str(tmp_path / "mono12.png"), gray.astype(np.uint16) * 16)
    cv2.imwrite(str(tmp_path / "ink.png"), np.dstack([np.zeros((*gray.shape, 3), np.uint8), 255 - gray]))
    records, said = run(tmp_path)
    assert records["mono12.png"]["verdict"] == "NG"
    assert records["ink.png"]["verdict"] == "NO_READ"
    assert "--background" in records["ink.png"]["reasons"][0]
    assert "taken for 12 bits" in said
    assert verdicts(tmp_path, "--background", "white", "--bit-depth", "12") == {"ink.png": "NG", "mono12.png": "NG"}


def test_every_page_is_judged(tmp_path: Path, boards: dict[str, np.ndarray]) -> None:
    first, second = (Image.fromarray(boards[verdict]) for verdict in ("OK", "NG"))
    for name, options in (("pages.tif", {}), ("film.webp", {"lossless": True}), ("film.png", {})):
        first.save(tmp_path / name, save_all=True, append_images=[second], **options)
    found = verdicts(tmp_path)
    assert found == {f"{name}{page}": v for name in ("film.png", "film.webp", "pages.tif") for page, v in _PAGES}


_PAGES = ((1, "OK"), (2, "NG"))


def test_nothing_in_a_folder_is_passed_over_in_silence(tmp_path: Path, boards: dict[str, np.ndarray]) -> None:
    png = cv2.imencode(".png", boards["NG"])[1].tobytes()
    for name in ("a.png", "b.jfif", "b.heic", "without"):
        (tmp_path / name).write_bytes(png)
    (tmp_path / "c.jxl").write_bytes(b"\xff\x0a" + bytes(50))
    (tmp_path / "dangling.png").symlink_to("nothing")
    for name in ("a.txt", "b.txt", "labels.json", ".hidden.png"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    records, said = run(tmp_path)
    assert {name: record["verdict"] for name, record in records.items()} == {
        "a.png": "NG",
        "b.heic": "NG",
        "b.jfif": "NG",
        "c.jxl": "NO_READ",
        "dangling.png": "NO_READ",
        "without": "NG",
    }
    assert "JPEG XL" in records["c.jxl"]["reasons"][0]
    assert "3 files are no pictures and not looked at: 1 .json, 2 .txt" in said


def test_names_of_any_bytes_work(tmp_path: Path, boards: dict[str, np.ndarray]) -> None:
    png = cv2.imencode(".png", boards["NG"])[1].tobytes()
    names = [
        b"a:b.png",
        b"bad\xff.png",
        b"line\nend.png",
        b"-dash.png",
        b"x[1].png",
        b"C:\\y.png",
        b"l" * 251 + b".png",
    ]
    for name in names:
        try:
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(png)
        except OSError:
            pytest.skip("a file system that does not take every name")
    records, _ = run(tmp_path, "--save-txt", "--output", "out")
    assert {record["verdict"] for record in records.values()} == {"NG"}
    assert "bad\\xff.png" in records
    assert len(list((tmp_path / "out" / "labels").iterdir())) == len(names)


def test_a_larger_picture_does_not_cross_the_limit(tmp_path: Path, boards: dict[str, np.ndarray]) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), boards["OK"])
    large = cv2.resize(boards["NG"], (8000, 6000), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(tmp_path / "2.jpg"), large)
    cv2.imwrite(str(tmp_path / "3.png"), large)
    cv2.imwrite(str(tmp_path / "4.png"), boards["OK"])
    records, said = run(tmp_path, "--memory-limit", "160MB")
    assert "within the limit" in said
    assert [record["verdict"] for record in records.values()] == ["OK", "NG", "NO_READ", "OK"]
    assert "raise --memory-limit" in records["3.png"]["reasons"][0]
    assert records["2.jpg"]["decoded"]["width"] < 8000
    small = tmp_path / "small"
    small.mkdir()
    cv2.imwrite(str(small / "2.png"), cv2.resize(boards["NG"], (800, 600), interpolation=cv2.INTER_AREA))
    expected = run(small)[0]["2.png"]["predictions"][0]["box"]
    found = records["2.jpg"]["predictions"][0]["box"]
    assert all(abs(found[side] - 10 * expected[side]) < 300 for side in expected)


@pytest.mark.parametrize(
    ("text", "colour"),
    [("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#102030", (0x30, 0x20, 0x10)), (None, None)],
)
def test_a_background_is_a_colour(text: str | None, colour: tuple[int, int, int] | None) -> None:
    assert background_of(text) == colour


@pytest.mark.parametrize("text", ["", "#12", "whitish", "#gggggg"])
def test_what_is_no_colour_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no colour"):
        background_of(text)


_CASES = ROOT.parent / "shared" / "cases" / "run"
_RIGHT = {
    "half-jpeg": {"half-eoi-rgb.jpg": "NO_READ", "rgb.jpg": "NG", "zeromid-rgb.jpg": "NO_READ"},
    "mono12": {"gray8.png": "NG", "mono12in16.png": "NG", "transparent-bg.png": "NO_READ"},
    "pages": {
        "anim-ok-then-ng.webp1": "OK",
        "anim-ok-then-ng.webp2": "NG",
        "multipage-ok-then-ng.tif1": "OK",
        "multipage-ok-then-ng.tif2": "NG",
    },
    "silent-skip": {"a.png": "OK", "b.heic": "NG", "b.jfif": "NG"},
}


@pytest.mark.parametrize("case", _RIGHT)
def test_the_cases_of_users_come_out_right(case: str) -> None:
    if not _CASES.is_dir():
        pytest.skip("the shared cases are not here")
    assert verdicts(_CASES / case) == _RIGHT[case]
