"""What commands share: exit codes, one-line errors, sections in help, signals, native noise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import click
import pytest

from edge_runtime import errors
from edge_runtime.cli.console import SectionedCommand, hidden_native_stderr, run_command
from edge_runtime.inspect.stop import Stop, stop_on_signals


def ends_with(action: Callable[[], int | None], *args: str) -> int:
    def callback(size: int | None) -> int | None:
        return action()

    command = click.Command("demo", callback=callback, params=[click.Option(["--size"], type=int)], help="Demo.")
    with pytest.raises(SystemExit) as ended:
        run_command(command, "demo", args)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def raising(error: BaseException) -> Callable[[], int | None]:
    def action() -> int | None:
        raise error

    return action


@pytest.mark.parametrize("name", errors.__all__)
def test_each_error_class_ends_with_its_code_and_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = getattr(errors, name)("what was expected,\n  what was found")
    assert ends_with(raising(error)) == error.exit_code
    output = capsys.readouterr()
    assert output.err == "error: what was expected, what was found\n"
    assert output.out == ""


@pytest.mark.parametrize(("value", "code"), [(None, 0), (0, 0), (10, 10)])
def test_what_the_callback_returns_is_the_exit_code(value: int | None, code: int) -> None:
    assert ends_with(lambda: value) == code


@pytest.mark.parametrize("args", [["--size", "big"], ["--nothing"], ["surplus"]])
def test_a_wrong_flag_is_one_line_and_code_2(args: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(lambda: 0, *args) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.endswith("(see demo --help)\n")
    assert text.count("\n") == 1


def test_help_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(lambda: 1, "--help") == 0
    assert "Demo." in capsys.readouterr().out


def test_ctrl_c_is_130_and_a_closed_pipe_is_141_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(raising(KeyboardInterrupt())) == 130
    assert ends_with(raising(BrokenPipeError())) == 141
    assert capsys.readouterr().err == ""


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        ends_with(raising(ZeroDivisionError()))


class _Sectioned(SectionedCommand):
    sections: ClassVar[Mapping[str, Sequence[str]]] = {"Big": ("size",)}


def test_options_stand_under_their_headings_and_none_is_lost() -> None:
    options: list[click.Parameter] = [click.Option(["--rest"], help="r"), click.Option(["--size"], help="s")]
    command = _Sectioned("demo", params=options)
    text = command.get_help(click.Context(command))
    assert text.index("Big:") < text.index("--size") < text.index("Other:") < text.index("--rest")
    assert "--help" in text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_sets_a_flag_and_the_second_interrupts(number: signal.Signals, code: int) -> None:
    stop = Stop()
    assert not stop()
    before = signal.getsignal(number)
    with stop_on_signals(stop):
        signal.raise_signal(number)
        assert stop()
        assert stop.exit_code == code
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_user_who_is_done_stops_the_run_with_code_0() -> None:
    stop = Stop()
    stop.done = True
    assert stop()
    assert stop.exit_code == 0


def test_native_noise_is_hidden_and_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    with hidden_native_stderr():
        os.write(2, b"libpng error: noise\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_python_s_own_stderr_stays_visible() -> None:
    code = (
        "import os, sys\n"
        "from edge_runtime.cli.console import hidden_native_stderr\n"
        "with hidden_native_stderr():\n"
        "    os.write(2, b'noise ')\n"
        "    print('seen', file=sys.stderr)\n"
        "print('after', file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True, text=True)
    assert done.stderr == "seen\nafter\n"
