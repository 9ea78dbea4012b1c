"""The damage tool: its variants are what they say, its counting is right, and the real edge-run can be asked."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime.errors import DataError
from edge_tools.damage.__main__ import damage
from edge_tools.damage.boards import Board, Box, candidates, overlap
from edge_tools.damage.camera import sending
from edge_tools.damage.encode import FORMATS
from edge_tools.damage.harm import KINDS, Blow
from edge_tools.damage.judge import Said, by_file, parsed
from edge_tools.damage.kept import Kept
from edge_tools.damage.optical import OPTICAL, good_pictures, spoilt
from edge_tools.damage.rows import rows_missing
from edge_tools.damage.tally import Row, as_table, outcome
from edge_tools.damage.variants import PIXEL_KINDS, Variant, dealt, made, undamaged

SAMPLE = Path(__file__).parents[2] / "samples" / "pcb"
DEFECT = Box(300, 40, 330, 70)
READABLE = [name for name, form in FORMATS.items() if form.suffix in (".jpg", ".png", ".bmp", ".pgm", ".ppm")]
CHEAP = ["jpeg", "jpeg restarts", "png", "apng", "tiff pages", "webp", "gif", "ppm"]  # one of each container


def make_board() -> Board:
    rng = np.random.default_rng(0)
    clean = (128 + rng.normal(0, 20, (96, 352))).clip(0, 255).astype(np.uint8)
    picture = clean.copy()
    picture[40:70, 300:330] = 0
    return Board("one", picture, (DEFECT,), clean)


def pixels(data: bytes) -> np.ndarray | None:  # type: ignore[type-arg]
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_changes_a_file_and_never_its_first_bytes(kind: str) -> None:
    board = make_board()
    hit = 0
    for form, severity in itertools.product(CHEAP, (0.1, 0.6)):
        data = made(Variant(0, kind, form, 0, severity, 7), [board])
        if data is None:
            continue
        whole = FORMATS[form](board.picture, board.clean)
        assert data != whole
        assert data[:2] == whole[:2], form
        hit += 1
    assert hit >= 2, "a kind that fits no format"


@pytest.mark.parametrize("form", READABLE)
def test_a_cut_file_lacks_pixels_or_is_not_read(form: str) -> None:
    board = make_board()
    whole = pixels(FORMATS[form](board.picture, board.clean))
    left = made(Variant(0, "cut, padded with zeros", form, 0, 0.6, 7), [board])
    assert left is not None
    shown = pixels(left)
    assert whole is not None
    assert shown is None or (shown != whole).mean() > 0.2


def test_every_format_shows_the_board_where_opencv_reads_it() -> None:
    board = make_board()
    for form in READABLE:
        shown = pixels(FORMATS[form](board.picture, board.clean))
        assert shown is not None, form
        if FORMATS[form].pages == 1:
            assert shown[45:65, 305:325].mean() < 40, form


def test_a_file_that_lacks_rows_says_the_whole_height() -> None:
    board = make_board()
    for form in ("pgm", "bmp", "png gray", "jpeg gray"):
        data = rows_missing(FORMATS[form], board.picture, 0.5)
        assert data is not None
        whole = FORMATS[form](board.picture, board.picture)
        assert len(data) < len(whole)
    data = rows_missing(FORMATS["png gray"], board.picture, 0.5)
    assert data is not None
    assert int.from_bytes(data[20:24], "big") == 96
    assert rows_missing(FORMATS["webp"], board.picture, 0.5) is None


def test_what_an_earlier_decoder_filled_hides_the_defect() -> None:
    board = make_board()
    for kind, level in PIXEL_KINDS.items():
        data = made(Variant(0, kind, "png gray", 0, 0.7, 7), [board])
        assert data is not None
        shown = pixels(data)
        assert shown is not None
        assert (shown[40:70, 300:330] == level).all()


def test_a_tail_of_another_picture_comes_from_it() -> None:
    blow = Blow(bytes(1000), lambda: b"\x01" * 1000, ".pgm", 0.5, np.random.default_rng(0))
    data = KINDS["tail of another"](blow)
    assert data is not None
    assert data.startswith(bytes(400))
    assert data.endswith(b"\x01" * 300)


def test_restart_markers_are_swapped_and_nothing_is_lost() -> None:
    board = make_board()
    data = made(Variant(0, "restarts swapped", "jpeg restarts", 0, 0.9, 3), [board])
    whole = FORMATS["jpeg restarts"](board.picture, board.clean)
    assert data is not None
    assert len(data) == len(whole)
    assert sum(a != b for a, b in zip(data, whole, strict=True)) == 2
    assert made(Variant(0, "restarts swapped", "jpeg", 0, 0.9, 3), [board]) is None


def test_the_same_seed_deals_the_same_variants_of_every_kind_and_format() -> None:
    cells = len([*KINDS, "rows missing", *PIXEL_KINDS]) * len(FORMATS)
    one = list(itertools.islice(dealt(2 * cells, 40, 5), 2 * cells))
    assert one == list(itertools.islice(dealt(2 * cells, 40, 5), 2 * cells))
    assert {(v.kind, v.form) for v in one} == {(v.kind, v.form) for v in one[:cells]}
    assert len({(v.kind, v.form) for v in one}) == cells
    assert {v.form for v in undamaged(40)} == set(FORMATS)
    assert all(0 < v.severity < 1 for v in one)


def test_optical_damage_changes_pictures_and_good_ones_hardly_differ() -> None:
    board = make_board()
    good = [picture.astype(int) for picture in good_pictures(board, 3, 1)]
    assert abs(good[0].mean() - good[1].mean()) < 12
    for kind in OPTICAL:
        shown = spoilt(board, kind, 0.8, 1).astype(int)
        assert shown.shape == good[0].shape
        assert np.abs(shown - good[0]).mean() > 4, kind


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], "unnamed"),
        ([Said("OK")], "OK"),
        ([Said("NG", ("open x1",), (DEFECT,))], "found"),
        ([Said("NG", ("open x1",), (Box(0, 0, 20, 20),))], "elsewhere"),
        ([Said("NO_READ", ("cannot decode",))], "no read"),
        ([Said("NO_READ")], "unnamed"),
        ([Said("OK"), Said("NG", ("open x1",), (DEFECT,))], "found"),
        ([Said("OK"), Said("NO_READ", ("page 2 was not looked at",))], "no read"),
        ([Said("OK"), Said("OK")], "OK"),
    ],
)
def test_what_is_said_of_a_file_is_found_not_read_elsewhere_or_a_fault(records: list[Said], expected: str) -> None:
    assert outcome(records, [DEFECT]) == expected


def test_faults_are_what_passed_and_what_nobody_named() -> None:
    rows = [Row("files", "cut", "jpeg", 0.5, what) for what in ("found", "no read", "OK", "unnamed", "OK")]
    assert [row.fault for row in rows] == [False, False, True, True, True]
    table = as_table(rows)
    assert "| files | cut | 5 | 1 | 1 | 0 | 2 | 1 |" in table
    assert "| files | jpeg | 5 |" in as_table(rows, "form")


def test_boxes_overlap_by_their_intersection_over_their_union() -> None:
    assert overlap(Box(0, 0, 10, 10), Box(0, 0, 10, 10)) == 1
    assert overlap(Box(0, 0, 10, 10), Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap(Box(0, 0, 10, 10), Box(20, 0, 30, 10)) == 0


def test_records_are_read_and_sorted_by_file_whatever_its_pages_are_called() -> None:
    box = {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}
    found = {"name": "open", "confidence": 0.8, "box": box}
    one = {"verdict": "NG", "reasons": ["open x1"], "predictions": [found], "image": "a/00001.tif"}
    two = {"verdict": "OK", "reasons": [], "predictions": [], "image": "a/00001.tif#2"}
    stamped = [json.dumps({**record, "ts_utc": "2026-01-01T00:00:00.000Z"}) for record in (one, two)]
    records = parsed([*stamped, '{"verdict": "N'])
    assert [record.boxes for record in records] == [(Box(1, 2, 3, 4),), ()]
    assert len(by_file(records)["00001"]) == 2


def test_a_folder_with_templates_offers_one_defect_at_a_time(tmp_path: Path) -> None:
    clean = np.full((64, 64), 255, np.uint8)
    both = clean.copy()
    both[5:10, 5:10] = both[40:50, 40:50] = 0
    cv2.imwrite(str(tmp_path / "b.png"), both)
    cv2.imwrite(str(tmp_path / "b_temp.png"), clean)
    (tmp_path / "b.txt").write_text("3 3 12 12 1\n38 38 52 52 2\n")
    boards = candidates(tmp_path, 0)
    assert sorted(board.boxes[0].x1 for board in boards) == [3, 38]
    for board in boards:
        differing = np.abs(board.picture.astype(int) - board.clean) > 60
        assert differing.sum() in (25, 100)
    with pytest.raises(DataError, match=r"expected NAME\.png"):
        candidates(tmp_path / "none", 0)


def test_what_was_made_is_kept_and_made_anew_when_it_hangs_on_something_else(tmp_path: Path) -> None:
    rows = [Row("files", "cut", "jpeg", 0.5, "no read", ("ends early",), "a")]
    kept = Kept(tmp_path / "files.jsonl", "one")
    assert kept.or_made(lambda: rows) == rows
    assert kept.or_made(lambda: []) == rows
    assert Kept(tmp_path / "files.jsonl", "two").or_made(lambda: []) == []


def test_the_camera_sends_its_parts_with_their_lengths() -> None:
    import urllib.request

    with sending([b"first", b"second"], 1000.0) as camera, urllib.request.urlopen(camera.url, timeout=10) as reply:
        assert reply.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        told = reply.read(160)
    assert b"Content-Length: 5\r\n\r\nfirst\r\n--frame" in told
    assert b"Content-Length: 6\r\n\r\nsecond\r\n--frame" in told


def test_a_handful_of_variants_is_judged_by_the_real_edge_run(tmp_path: Path) -> None:
    out = tmp_path / "damage.json"
    words = ["--quick", "--boards", "2", "--variants", "12", "--pictures", str(SAMPLE / "images"), "-o", str(out)]
    ran = CliRunner().invoke(damage, words, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    rows = json.loads(out.read_text())
    assert {row["where"] for row in rows} == {"files"}
    assert [row["outcome"] for row in rows if row["kind"] == "undamaged" and row["form"] == "png"] == ["found"]
    assert sum(row["kind"] != "undamaged" for row in rows) == 12
    assert "| all |" in out.with_suffix(".md").read_text()
