"""What names from elsewhere may do to a terminal: nothing."""

from __future__ import annotations

import io
import json
import sys
import unicodedata

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.cli.begin import plain_stream
from edge_runtime.cli.console import run_command
from edge_runtime.errors import BundleError
from edge_runtime.files.visible import VisibleStream, own_codes, visible

ATTACKS = [
    "\x1b[2K\rconfirmed: pcb.edge",  # the line is cleared, another word stands there
    "\x1b]0;title\x07",
    "\x1b[8mhidden",
    "\x9b2K",  # the same as ESC [ in one character
    "photo\u202egpj.exe",
    "a\u2066b\u2069",
    "line\u2028line",
    "\b\b\bOK",
    "\x1bP+q\x1b\\\\",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_what_changes_what_a_terminal_shows_is_written_out(text):
    shown = visible(text)
    assert shown != text
    assert not any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(sign) in
                   ("RLO", "LRO", "RLE", "LRE", "PDF", "LRI", "RLI", "FSI", "PDI") for sign in shown)  # fmt: skip
    assert visible(shown) == shown


@pytest.mark.parametrize(
    "text", ["", "ok\n", "a\tb", "\x1b[32mOK\x1b[0m", "\x1b[1;31mNG\x1b[0m", "Größe 检查 \N{SNOWMAN}"]
)
def test_lines_tabs_colours_and_letters_stay(text):
    assert visible(text) == text


@given(st.text())
def test_a_text_of_json_means_the_same_as_before(text):
    written = json.dumps([text], ensure_ascii=False)
    assert json.loads(visible(written)) == [text]


def test_a_stream_says_how_long_the_text_was_and_passes_the_rest_on():
    below = io.StringIO()
    stream = plain_stream(below)
    assert stream.write("a\rb") == 3
    stream.writelines(["c\x1b[2J\n"])
    stream.flush()
    assert below.getvalue() == "a\\u000dbc\\u001b[2J\n"
    assert own_codes(stream) is below
    assert own_codes(below) is below
    assert plain_stream(stream) is stream
    assert isinstance(stream, VisibleStream)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_click_writes_through_the_stream_whatever_its_encoding_is(encoding, monkeypatch):
    below = io.BytesIO()
    wrapper = io.TextIOWrapper(below, encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", plain_stream(wrapper))
    click.echo("a\x1b[2K\u202eb\N{EN DASH}c")
    text = "a\\u001b[2K\\u202eb"
    # What is no terminal gets no codes from click, whosever they are.
    assert below.getvalue().decode(encoding).startswith((text, "a\\u202eb"))


@pytest.mark.parametrize("text", ATTACKS)
def test_an_error_of_a_command_shows_no_name_raw(text, capsys):
    @click.command()
    def fails():
        click.echo(f"reading {text}")
        raise BundleError(f"{text} is damaged")

    with pytest.raises(SystemExit) as ended:
        run_command(fails, "edge-run", [])
    assert ended.value.code == 3
    output = capsys.readouterr()
    for sign in "\x1b\x9b\r\b\u202e\u2066\u2028":
        assert sign not in output.out + output.err
