import importlib.util

import cv2
import numpy as np
import pytest
from station_world import PICTURE, StationWorld

from edge_runtime.errors import UsageError
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.station.check import look_for
from edge_runtime.station.parts import code
from edge_runtime.station.parts.part_id import Named, part_names, with_required
from edge_runtime.station.parts.settings import CodeId, NameId, PartIdEntry
from edge_runtime.station.recipe.load import read_recipe

READERS = ("opencv", "zxing")


def qr(text):
    return np.asarray(cv2.QRCodeEncoder.create().encode(text))


def drawn(kind, text):
    """A code of zxing-cpp's."""
    import zxingcpp

    return np.asarray(zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, kind)).to_image(scale=3))


def placed(*codes, scale=4):
    """A gray picture of 900 x 1000 with codes on white labels, from its left upper corner on, 450 apart."""
    picture = np.full((900, 1000, 3), 120, np.uint8)
    picture[-1] = np.arange(3000).reshape(1000, 3) % 200
    for number, bits in enumerate(codes):
        large = cv2.resize(bits, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        label = np.pad(large, 30, constant_values=255)
        y = 20 + 450 * number
        picture[y : y + label.shape[0], 40 : 40 + label.shape[1]] = label[..., None]
    return picture


def frame(image=None, error=None, path=None):
    return Frame("cam", 0, "f", image=image, error=error, path=path)


def names(**settings):
    return part_names(PartIdEntry(code=CodeId(**settings)))


@pytest.mark.parametrize("reader", READERS)
def test_a_square_code_names_the_part(reader):
    if reader == "zxing":
        pytest.importorskip("zxingcpp")
    of = names(kinds=("qr",), reader=reader).of
    assert of([frame(placed(qr("PART-0042")))]) == Named("PART-0042")
    assert of([frame(placed(qr("PART-0042"), qr("PART-0042")))]) == Named("PART-0042")
    assert of([frame(placed())]) == Named(None, "no code could be read")


@pytest.mark.parametrize("reader", READERS)
def test_two_codes_name_no_part_unless_region_or_pattern_tells_which(reader):
    if reader == "zxing":
        pytest.importorskip("zxingcpp")
    picture = placed(qr("PART-0042"), qr("LOT-7"))
    two = names(kinds=("qr",), reader=reader).of([frame(picture)])
    assert two == Named(None, "2 different ones: LOT-7, PART-0042")
    assert names(kinds=("qr",), reader=reader, region=(0, 0, 900, 440)).of([frame(picture)]) == Named("PART-0042")
    liked = names(kinds=("qr",), reader=reader, pattern="PART-(?P<part>[0-9]{4})")
    assert liked.of([frame(picture)]) == Named("0042")
    assert liked.of([frame(placed(qr("LOT-7")))]) == Named(None, "no code is like the pattern, found 'LOT-7'")


KINDS = [
    ("datamatrix", "DataMatrix", "PART-0042"),
    ("code128", "Code128", "PART-0042"),
    ("aztec", "Aztec", "PART-0042"),
    ("pdf417", "PDF417", "PART-0042"),
    ("code39", "Code39", "PART42"),
    ("ean13", "EAN13", "4006381333931"),
    ("ean8", "EAN8", "96385074"),
    ("itf", "ITF", "12345678901231"),
]


@pytest.mark.parametrize(("kind", "written", "text"), KINDS)
def test_each_kind_of_code_is_read_and_only_where_it_is_asked_for(kind, written, text):
    pytest.importorskip("zxingcpp")
    picture = placed(drawn(written, text), scale=1)
    assert names(kinds=(kind,)).of([frame(picture)]) == Named(text)
    assert names().of([frame(picture)]) == Named(text)
    assert names(kinds=("micro_qr",)).of([frame(picture)]) == Named(None, "no code could be read")


@pytest.mark.parametrize(("kind", "written", "text"), [KINDS[5], KINDS[6]])
def test_opencv_reads_what_is_on_goods(kind, written, text):
    pytest.importorskip("zxingcpp")
    picture = placed(drawn(written, text), scale=1)
    assert names(kinds=(kind,), reader="opencv").of([frame(picture)]) == Named(text)
    other = "ean8" if kind == "ean13" else "ean13"
    assert names(kinds=(other,), reader="opencv").of([frame(picture)]) == Named(None, "no code could be read")


def test_a_code_is_found_in_any_frame_of_the_part_and_two_parts_in_one_are_none():
    of = names(kinds=("qr",), reader="opencv").of
    assert of([frame(placed()), frame(error="black"), frame(placed(qr("A1")))]) == Named("A1")
    assert of([frame(placed(qr("A1"))), frame(placed(qr("A2")))]) == Named(None, "2 different ones: A1, A2")


def test_a_picture_that_was_not_fit_to_be_judged_names_nothing():
    still = Frame("cam", 0, "f", error="frozen", unfit=placed(qr("GONE")))
    assert names(kinds=("qr",), reader="opencv").of([still]) == Named(None, "there is no picture to read a code in")


def test_a_region_outside_of_the_picture_is_no_quiet_nothing():
    named = names(kinds=("qr",), reader="opencv", region=(900, 0, 200, 200)).of([frame(placed(qr("A1")))])
    assert named.reason == "the region for the code lies outside of the picture of 1000x900"


def test_a_file_name_names_the_part(tmp_path):
    of = part_names(PartIdEntry(name=NameId("^(?P<part>[A-Z][0-9]+)_"))).of
    assert of([frame(PICTURE, path=tmp_path / "A17_top.png")]) == Named("A17")
    assert of([frame(PICTURE, path=tmp_path / "x.png")]).reason == "the pattern is not found in the file's name x.png"
    assert of([frame(PICTURE)]).reason == "the picture is no file"
    both = [frame(PICTURE, path=tmp_path / "A17_top.png"), frame(error="cut", path=tmp_path / "A18_top.png")]
    assert of(both) == Named(None, "2 different ones: A17, A18")


def test_what_trigger_and_code_say_must_agree():
    assert Named("A").beside(None) == Named("A").beside("A") == Named("A")
    assert Named(None, "unread").beside("A") == Named("A", "unread")
    assert Named("B").beside("A") == Named(None, "the trigger says A, the part itself B")


@pytest.mark.parametrize(
    ("verdict", "required", "expected"),
    [("OK", None, "OK"), ("OK", "NG", "NG"), ("WARN", "NO_READ", "NO_READ"), ("NG", "NO_READ", "NG"),
     ("NO_READ", "NG", "NO_READ")],
)  # fmt: skip
def test_a_part_without_a_name_is_what_the_recipe_says_but_never_better(verdict, required, expected):
    found, reasons = with_required(verdict, ["why"], Named(None, "unread"), required)
    assert (found, reasons) == (expected, ["why"] if required is None else ["why", "no part id: unread"])
    assert with_required(verdict, ["why"], Named("A"), required) == (verdict, ["why"])


def test_what_nothing_here_reads_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setattr(code, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"OpenCV does not read datamatrix: pip install 'edgeline\[codes\]' does"):
        names(kinds=("qr", "datamatrix"))
    with pytest.raises(UsageError, match=r"zxing is not installed here: pip install 'edgeline\[codes\]'"):
        names(reader="zxing")
    assert names().of([frame(placed(qr("A1")))]) == Named("A1")


RECIPE = """
store: store
stations:
  belt:
    source: a.mp4
    bundle: m.edge
    part_id: {code: {kinds: [qr], required: NG}}
    outputs: [jsonl: verdicts.jsonl]
"""


def test_events_bear_the_name_or_the_reason_and_what_is_required_holds(tmp_path, monkeypatch):
    world = StationWorld(tmp_path, monkeypatch)
    world.pictures = [placed(qr("A1")), placed(qr("A2")), placed(), "cut"]
    world.run(RECIPE)
    lines = world.lines()
    assert [(line["part"], line["verdict"], line.get("part_reason")) for line in lines] == [
        ("A1", "OK", None),
        ("A2", "NG", None),
        (None, "NG", "no code could be read"),
        (None, "NO_READ", "there is no picture to read a code in"),
    ]
    assert lines[2]["reasons"][-1] == "no part id: no code could be read"
    world.run(RECIPE.replace("required: NG", "reader: opencv"))
    assert [line["verdict"] for line in world.lines()[4:]] == ["NG", "OK", "NG", "NO_READ"]


def test_the_frames_of_a_part_share_its_name(tmp_path, monkeypatch):
    world = StationWorld(tmp_path, monkeypatch)
    world.pictures = [placed(), placed(qr("A1")), placed(qr("A2")), placed()]
    world.run(RECIPE.replace("part_id:", "trigger: {every: {period: 1s, frames: 2}}\n    part_id:"))
    assert [(line["part"], line["part_number"]) for line in world.lines()] == [("A1", 0), ("A2", 1)]


def test_mistakes_in_what_names_parts_are_told(tmp_path):
    file = tmp_path / "station.yaml"
    file.write_text(
        "store: store\nstations:\n  a:\n    source: '0'\n    bundle: m.edge\n    part_id: {name: '(?P<part>.)'}\n"
    )
    found = [(mistake.line, mistake.where) for mistake in look_for(read_recipe(file))]
    assert (6, "stations.a.part_id.name") in found
    file.write_text(file.read_text().replace("'0'", "'watch:in'"))
    assert "stations.a.part_id.name" not in [mistake.where for mistake in look_for(read_recipe(file))]
    for wrong, what in [
        ("{name: '(.)'}", "needs a group"),
        ("{name: '(?P<part>'}", "no regular expression"),
        ("{code: {region: [1, 2, 3]}}", "a region is"),
        ("{code: {region: [1, 2, 3, 0]}}", "a region is"),
        ("{code: {kinds: [morse]}}", "one of qr"),
        ("{}", "exactly one of name, code"),
    ]:
        file.write_text(f"store: store\nstations: {{a: {{source: '0', bundle: m, part_id: {wrong}}}}}")
        with pytest.raises(UsageError, match=what):
            read_recipe(file)


def test_zxing_is_here_where_these_tests_are_meant_to_run():
    assert importlib.util.find_spec("zxingcpp") is not None or pytest.skip("zxing-cpp is not installed")
