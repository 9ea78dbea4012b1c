"""The report's forms: every figure labelled, nothing broken out of, nothing fetched."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_tools.bench.cases import (
    About,
    Blocks,
    Climate,
    Emulated,
    Host,
    Latency,
    MeasuredCase,
    Report,
    Row,
    Sustained,
)
from edge_tools.bench.compare import plain_row, ratios
from edge_tools.bench.confine import Charges
from edge_tools.bench.csv_file import as_csv
from edge_tools.bench.page import render_report
from edge_tools.bench.plots import batch_plot, latency_plot, memory_plot, sustained_plot
from edge_tools.bench.sustain import sustained_of, window_seconds
from edge_tools.bench.table import as_table
from edge_tools.bench.words import MARK

LABEL = "emulated limits, x86 arithmetic, on 2 of 4 cores"
HOST = Host("a CPU", 4, 8 * 10**9, "6.1", "3.11", "1.31", "left as it was")
RAN = Sustained(300, 3.0, 1.0, 100.0, 90.0, 14.5, (100.0, 91.0, 90.0), (50.0, None, 61.0))
OURS = Row("edgeline", 160_000_000, 1, 1, True, "ok", "", Latency(10, 11, 14), 98.0, 500.0, 120_000_000, 70_000_000,
           Blocks(3, 5, 1), 1e-6, "a.edge", "int8 mix", LABEL, RAN, 4.5, 0.05)  # fmt: skip
PLAIN = replace(OURS, engine="onnxruntime", model="model.onnx", latency_ms=Latency(20, 21, 22), blocks=Blocks(0, 0, 0),
                peak_bytes=170_000_000)  # fmt: skip
KILLED = Row("onnxruntime", 90_000_000, 1, None, True, "killed", "killed by the kernel for its memory",
             model="a.onnx", precision="fp32", label=LABEL)  # fmt: skip
TWO = replace(OURS, batch=2, latency_ms=Latency(18, 20, 24))
ROWS = (OURS, PLAIN, KILLED, TWO)
EMULATED = Emulated("a-board", "A Board", LABEL, 1 << 30, 768 << 20, "sd", 43_000_000, 2, 4, ("a source",), ("a note",))
HOT = Climate(61, "cpu", ("temperature limit",))
ABOUT = About("2026-01-02 03:04 UTC", "edge-bench a.edge", "x86-64", "A PC", "probe", {"python": "3.11"},
              {"model": "parts"}, Climate(50, "cpu"), HOT, "a sensor", 2.0)  # fmt: skip
REPORT = Report("a.edge", "cpu", HOST, ROWS, LABEL, EMULATED, ABOUT)
HOSTILE = '"><script>alert(1)</script>\x1b[2J=1+1\udcff'

times = st.floats(0.001, 1e5)


def measured(*rows: Row) -> list[MeasuredCase]:
    return [MeasuredCase(row, Charges(0, 0, 130_000_000)) for row in rows]


class Elements(HTMLParser):
    """Checks that tags are closed in order, and keeps what was seen."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    elements.close()
    assert elements.open == []
    return elements


def pictures(page: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", page, re.DOTALL)


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    page = render_report(REPORT, measured(*ROWS))
    elements = parsed(page)
    assert not {tag for tag, _ in elements.seen} & {"script", "link", "img", "iframe", "object"}
    assert not [attributes for _, attributes in elements.seen if {"src", "href", "onclick"} & set(attributes)]
    assert "http" not in re.sub(r'http-equiv="', "", page)
    assert len(pictures(page)) == 6  # two for each batch size, time by batch, sustained
    for picture in pictures(page):
        ElementTree.fromstring(picture)


def test_the_page_says_once_what_is_emulated_and_every_figure_title_tile_and_row_bears_the_mark() -> None:
    page = render_report(REPORT, measured(*ROWS))
    assert page.lower().count(LABEL.lower()) == 1
    for pattern in (r"<title>.*?</title>", r"<h2>(?!Where).*?</h2>", r"<caption>.*?</caption>",
                    r'<div class="tile">.*?</div>', r"<tbody.*?</tbody>", r"<svg.*?</svg>"):  # fmt: skip
        found = re.findall(pattern, page, re.DOTALL)
        assert found
        assert [part for part in found if MARK not in part] == []
    for body in re.findall(r"<tbody.*?</tbody>", page, re.DOTALL):
        assert [row for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL) if MARK not in row] == []
    for picture in pictures(page):  # in what is drawn, not only in what a screen reader says
        assert [text for text in re.findall(r"<text[^>]*>(.*?)</text>", picture) if text == f"{MARK} emulated"]


def test_without_emulation_nothing_is_called_emulated() -> None:
    rows = [replace(row, label="") for row in ROWS]
    report = replace(REPORT, rows=tuple(rows), label="", emulated=None)
    for text in (render_report(report, measured(*rows)), as_table("a", report, measured(*rows)),
                 as_csv(report, measured(*rows))):  # fmt: skip
        assert "emulated" not in text
        assert MARK not in text


def test_hostile_names_stay_words() -> None:
    rows = [replace(row, model=HOSTILE, precision=HOSTILE, message=HOSTILE) for row in ROWS]
    about = replace(ABOUT, board_name=HOSTILE, command=HOSTILE, bundle={"model": HOSTILE, HOSTILE: HOSTILE})
    report = Report(
        HOSTILE, "cpu", replace(HOST, cpu=HOSTILE), tuple(rows), LABEL, replace(EMULATED, name=HOSTILE), about
    )
    page = render_report(report, measured(*rows))
    assert "script" not in {tag for tag, _ in parsed(page).seen}
    for picture in pictures(page):
        ElementTree.fromstring(picture)
    for text in (page, as_table(HOSTILE, report, measured(*rows)), as_csv(report, measured(*rows))):
        assert "\x1b" not in text
        text.encode()  # and no half of a character that UTF-8 has no bytes for


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_name_becomes_a_formula_of_a_spreadsheet(name: str) -> None:
    row = replace(OURS, model=name)
    cells = next(csv.DictReader(io.StringIO(as_csv(REPORT, measured(row)))))
    assert cells["model"][0] in "'" or not cells["model"].startswith(("=", "+", "-", "@"))


def test_the_csv_has_one_labelled_line_for_each_row_and_empty_cells_for_what_is_unknown() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(REPORT, measured(*ROWS)))))
    assert [line["label"] for line in lines] == [LABEL] * len(ROWS)
    assert [line["latency_ratio"] for line in lines] == ["0.5", "", "", ""]
    killed = lines[2]
    assert (killed["status"], killed["p50_ms"], killed["watts"]) == ("killed", "", "")
    assert (lines[0]["watts"], lines[0]["steady_images_per_s"], lines[0]["charged_bytes"]) == (
        "4.5",
        "90.0",
        "130000000",
    )


def test_each_table_of_the_text_bears_the_mark_and_fits_a_terminal() -> None:
    lines = as_table("parts", REPORT, measured(*ROWS)).splitlines()
    heads = [line for line in lines if line.startswith("batch ")]
    assert len(heads) == 4
    assert all(MARK in line for line in heads)
    assert sum(LABEL in line for line in lines) == 1
    assert max(len(line) for line in lines if not line.startswith("onnxruntime  a.onnx")) <= 120
    assert "100>90.0" in next(line for line in lines if line.startswith("edgeline"))
    assert any("temperature limit" in line for line in lines)


def test_watts_are_absent_where_there_is_no_sensor() -> None:
    rows = [replace(row, watts=None, joules_per_image=None) for row in ROWS]
    report = replace(REPORT, about=replace(ABOUT, power="no power sensor was found", idle_watts=None))
    assert "J/image" not in as_table("a", report, measured(*rows))
    assert "J/image" not in render_report(report, measured(*rows))
    assert "no power sensor was found" in render_report(report, measured(*rows))


def test_ratios_are_against_the_model_that_was_named_first_at_its_largest_limit() -> None:
    small = replace(PLAIN, memory_limit_bytes=100_000_000)
    other = replace(PLAIN, model="z.onnx", memory_limit_bytes=None)
    assert plain_row([OURS, small, PLAIN, other], 1) is PLAIN
    assert plain_row([OURS, KILLED], 1) is None
    against = ratios(OURS, PLAIN)
    assert (against.latency, against.memory, against.sustained) == (0.5, 0.5, 1.0)
    assert ratios(PLAIN, PLAIN).latency is None


def test_a_report_of_nothing_but_kills_can_be_written() -> None:
    report = replace(REPORT, rows=(KILLED,), about=None)
    assert pictures(render_report(report, measured(KILLED))) == []
    assert "killed by the kernel" in as_table("a", report, measured(KILLED))


@given(st.lists(st.tuples(times, times, times, st.integers(0, 10**11), st.integers(1, 10**11)), min_size=1, max_size=9))
def test_pictures_of_any_figures_stay_inside_their_frame(figures: list[tuple[float, float, float, int, int]]) -> None:
    rows = [
        replace(OURS, latency_ms=Latency(*sorted(three)), peak_bytes=peak, memory_limit_bytes=limit, batch=index + 1,
                sustained=sustained_of([list(three)] * 3, [1.0, 0.5, 2.0], 1.0, index + 1))
        for index, (*three, peak, limit) in enumerate(figures)
    ]  # fmt: skip
    for picture in (latency_plot(rows, LABEL), memory_plot(rows, LABEL), sustained_plot(rows, LABEL),
                    batch_plot({"one": rows}, LABEL)):  # fmt: skip
        frame = ElementTree.fromstring(picture)
        _, _, width, height = (float(part) for part in frame.attrib["viewBox"].split())
        for name, most in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y", height), ("cy", height)):
            places = [float(element.attrib[name]) for element in frame.iter() if name in element.attrib]
            assert all(-1 <= place <= most for place in places)


@given(st.floats(1, 7200))
def test_windows_last_one_to_five_seconds(seconds: float) -> None:
    assert 1 <= window_seconds(seconds) <= 5


def test_the_steady_speed_is_the_median_of_the_second_half() -> None:
    found = sustained_of([[10.0] * 10, [20.0] * 5, [25.0] * 4, [50.0] * 2], [0.1] * 4, 0.1, 2)
    assert found.images_per_s == (200.0, 100.0, 80.0, 40.0)
    assert (found.first, found.steady, found.images) == (200.0, 60.0, 42)
