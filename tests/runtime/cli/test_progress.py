"""The line that tells how far preparing is."""

import io

import pytest

from edge_runtime.cli.progress import ProgressLine
from edge_runtime.errors import EngineError


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_elsewhere_than_on_a_terminal_there_are_two_lines(clock):
    stream = io.StringIO()
    line = ProgressLine("preparing", stream, clock)
    for done in range(3):
        line(f"block {done + 1} of 3", done, 3)
    clock.now += 12.4
    line.end()
    assert stream.getvalue() == "preparing ...\npreparing: done in 12 s\n"


def test_a_terminal_s_line_is_rewritten_with_the_time_that_is_left(clock):
    stream = Terminal()
    line = ProgressLine("preparing", stream, clock)
    line("block 1 of 4", 0, 4)
    clock.now += 10
    line("block 2 of 4", 1, 4)
    line.end()
    start = "\r\x1b[K"
    assert stream.getvalue() == (
        f"{start}preparing: block 1 of 4{start}preparing: block 2 of 4, about 30 s left{start}preparing: done in 10 s\n"
    )


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_nothing_to_do_writes_nothing(stream, clock):
    with ProgressLine("preparing", stream, clock) as line:
        line.end()
    assert stream.getvalue() == ""


def test_the_end_is_told_once(clock):
    stream = io.StringIO()
    with ProgressLine("preparing", stream, clock) as line:
        line("rehearsing", 1, 1)
        line.end()
    assert stream.getvalue().count("done") == 1


@pytest.mark.parametrize(("done", "total"), [(0, 0), (0, 5), (5, 5), (7, 5), (1, 1)])
def test_a_time_that_cannot_be_known_is_not_told(done, total, clock):
    stream = Terminal()
    line = ProgressLine("preparing", stream, clock)
    line("first", 0, 5)
    clock.now += 10
    line("waiting", done, total)
    assert "left" not in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_an_error_begins_on_a_line_of_its_own(stream, clock):
    line = ProgressLine("preparing", stream, clock)

    def prepare():
        with line:
            line("block 1 of 4", 0, 4)
            clock.now += 3
            raise EngineError("gone")

    with pytest.raises(EngineError):
        prepare()
    assert stream.getvalue().endswith("preparing: given up after 3 s\n")


def test_it_writes_to_stderr_as_it_is_when_it_is_made(capsys, clock):
    ProgressLine("preparing", clock=clock)("block 1 of 4", 0, 4)
    assert capsys.readouterr().err == "preparing ...\n"


def test_phases_show_a_percentage_and_elsewhere_a_line_each(clock):
    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        clock.now = 100.0
        line = ProgressLine("tuning", stream, clock, phases=True)
        line("threads", 0, 100)
        clock.now += 10
        line("threads", 25, 100)
        line("batches", 30, 100)
        line.end()
    assert "\r\x1b[Ktuning: threads, 25 %, about 30 s left" in terminal.getvalue()
    assert log.getvalue() == "tuning: threads ...\ntuning: batches ...\ntuning: done in 10 s\n"
