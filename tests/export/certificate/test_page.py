"""report.html: safe, self-contained, readable on a phone, the same for the same input."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest
from certificate_cases import LAYERS, certificate, comparison, findings, flips, manifest

from edge_export.certificate.page import render_page
from edge_runtime.bundle.facts import VerdictRule
from edge_runtime.bundle.manifest import Accuracy, NodePrecision, Stage
from edge_runtime.bundle.postprocess_spec import Raw

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
VOID = {"br", "img", "link", "meta"}


class Balance(HTMLParser):
    """Fails at an element that is closed by another's end; keeps elements and attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []

    def handle_starttag(self, name, attributes):
        self.seen.append(name)
        self.attributes += [(name, *pair) for pair in attributes]
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open, f"</{name}> closes nothing"
        assert self.open.pop() == name


def parsed(page):
    parser = Balance()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


EMPTY = findings(
    manifest=manifest(
        certificate=None, precision=(), accuracy=(), labels=(), postprocess=Raw(), verdict=VerdictRule(), files={}
    ),
    comparison=None,
    flips=None,
    notes=(),
    warnings=(),
)
BARE = findings(
    manifest=manifest(certificate=certificate(stages=(), latency=None, advice=())), comparison=None, flips=None
)
ONE_IMAGE = findings(comparison=comparison(half=float("nan"), images=1))


@pytest.mark.parametrize("given", [findings(), EMPTY, BARE, ONE_IMAGE], ids=["full", "empty", "bare", "one image"])
def test_every_element_of_the_page_is_closed_in_order(given):
    parser = parsed(render_page(given))
    assert parser.seen[0] == "html"
    assert parser.seen.count("main") == 1


def test_the_page_is_the_same_for_the_same_input():
    assert render_page(findings()).encode() == render_page(findings()).encode()


def test_the_page_loads_nothing_and_runs_nothing():
    page = render_page(findings())
    parser = parsed(page)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(parser.seen)
    assert not re.search(r"(?i)(https?:)?//[a-z]", re.sub(r'src="data:[^"]*"', "", page))
    assert not [one for one in parser.attributes if one[1].startswith("on")]
    sources = [value for _, name, value in parser.attributes if name in ("src", "href")]
    assert len(sources) == 2
    assert all(value.startswith("data:image/jpeg;base64,") for value in sources)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src &#x27;none&#x27;" in page


def test_a_phone_shows_the_page_at_its_own_width_in_the_colours_of_its_system():
    page = render_page(findings())
    assert ("meta", "content", "width=device-width, initial-scale=1") in parsed(page).attributes
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page


@pytest.mark.parametrize(
    "hostile",
    [
        findings(manifest=dataclasses.replace(manifest(), model=dataclasses.replace(manifest().model, name=ATTACK))),
        findings(manifest=manifest(precision=(NodePrecision(ATTACK, "Conv", "int8", ATTACK, 30.0), *LAYERS))),
        findings(manifest=manifest(certificate=certificate(stages=(Stage(ATTACK, 20.0, 0.9, True, ATTACK),)))),
        findings(manifest=manifest(certificate=certificate(held_back=ATTACK, advice=(ATTACK,)))),
        findings(flips=flips(ATTACK, ATTACK), notes=(ATTACK,), warnings=(ATTACK,)),
        findings(comparison=dataclasses.replace(comparison(), data=ATTACK)),
    ],
    ids=["model", "layer", "stage", "advice", "flip", "data"],
)
def test_hostile_names_stay_text(hostile):
    page = render_page(hostile)
    parser = parsed(page)
    assert "script" not in parser.seen
    assert parser.seen.count("img") == 2
    assert not [one for one in parser.attributes if one[1].startswith("on")]


def test_the_page_says_what_the_manifest_says():
    page = render_page(findings())
    for words in (
        "0.21x the bytes",
        "0.55x the time of FP32",
        "agreement 98.4 % on photos: 94 images",
        "min-max ranges",
        "undone",
        "kept: int8 here alone takes the outputs down to 12.0 dB",
        "board-7.png",
        'give <code class="flag">--evaluate</code>',
        "a warning",
        "photos: 64 images",
    ):
        assert words in page


def test_layers_are_drawn_in_graph_order_and_listed_worst_first():
    page = render_page(findings(order={"conv1": 0, "add": 1, "conv0": 2, "conv2": 3}))
    assert page.index("1. conv1 (Conv)") < page.index("2. conv0 (Conv): 12.0 dB, fp16")
    assert "(Add)" not in page
    rows = re.findall(r'<span class="name">(conv\d|add)</span>', page)
    assert rows == ["conv0", "conv1", "conv2", "add"]


def test_many_layers_are_folded_away():
    many = tuple(NodePrecision(f"conv{i}", "Conv", "int8", "int8", float(i)) for i in range(40))
    page = render_page(findings(manifest=manifest(precision=many)))
    assert "30 more layers" in page
    assert page.index('<span class="name">conv9</span>') < page.index("<details>") < page.index(">conv10</span>")


def test_layers_that_share_one_reason_are_named_behind_a_fold():
    same = tuple(NodePrecision(f"conv{i}", "Conv", "fp16", "asked for: --quantize fp16") for i in range(4))
    page = render_page(findings(manifest=manifest(precision=same)))
    assert "4 layers, all for the same reason: asked for: --quantize fp16." in page
    assert page.index("<summary>Their names") < page.index(">conv0<")
    assert "SQNR in int8" not in page


def test_a_model_that_arrived_quantized_is_not_compared_with_fp32_in_words():
    nodes = (NodePrecision("conv0", "Conv", "int8", "arrived quantized: its scales are kept"),)
    rows = (Accuracy("max_abs_diff y", "4 samples", None, 0.0),)
    made = manifest(precision=nodes, accuracy=rows, certificate=certificate(stages=(), latency=None))
    page = render_page(findings(manifest=made, comparison=None, flips=None, warnings=()))
    assert "0.21x the bytes of the model as it arrived, outputs equal to those of the model as it arrived" in page
    assert "FP32" not in page


def test_a_picture_for_a_screen_reader_has_a_title():
    parser = parsed(render_page(findings()))
    assert parser.seen.count("svg") == page_titles(render_page(findings()))
    assert ("svg", "role", "img") in parser.attributes


def page_titles(page):
    return len(re.findall(r"<svg[^>]*><title>[^<]+</title>", page))
