"""What every command shares: errors as one line and an exit code, help in sections, signals that end cleanly.

A command's entry point is two lines:

    def main() -> None:
        run_command(edge_run, "edge-run")
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, NoReturn

import click

from edge_runtime.cli.begin import plain_stream, stand
from edge_runtime.errors import DependencyError, EdgelineError, OutputError
from edge_runtime.files.shortage import near_limits, shortage

__all__ = ["EXTRAS", "SectionedCommand", "hidden_native_stderr", "leave_without", "run_command"]

# A result that cannot be written, wherever the write was: the disk is full, broken, or over its quota.
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT})
_BROKEN_PIPE = 128 + 13  # what a shell shows for a program that SIGPIPE ended
# The modules that an extra of pyproject.toml brings; those of its commands' own files are imported with them.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "export": ("onnx", "onnxruntime", "onnxslim", "rich", "scipy", "yaml"),
}


class SectionedCommand(click.Command):
    """A click command whose options are listed under headings.

    `sections` maps a heading to parameter names in the order of the help; the rest comes under "Other".
    """

    sections: ClassVar[Mapping[str, Sequence[str]]] = {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one definition list per section."""
        parameters = {parameter.name: parameter for parameter in self.get_params(ctx)}
        listed = {name for names in self.sections.values() for name in names}
        rest = [
            name for name, parameter in parameters.items() if isinstance(parameter, click.Option) and name not in listed
        ]
        for heading, names in {**self.sections, "Other": rest}.items():
            rows = [row for name in names if (row := parameters[name].get_help_record(ctx)) is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def run_command(command: click.Command, program: str, args: Sequence[str] | None = None) -> NoReturn:
    """Run a click command and leave the process with its exit code; `args` default to the command line.

    An int that the command's callback returns is the exit code. Errors of ours and of click end as
    `error: ...`, one line, with the code of their class; Ctrl-C as 130; a reader that went away (`| head`)
    quietly as 141; a lack of memory or of descriptors as what it is. Any other exception is a bug and keeps its
    traceback.
    """
    stand()
    try:
        code = _invoke(command, program, sys.argv[1:] if args is None else list(args))
        _flush_stdout()
    except EdgelineError as error:
        code = _fail(_with_cause(error), error.exit_code)
    except click.ClickException as error:
        code = _fail(f"{error.format_message()} (see {program} --help)", error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        code = _BROKEN_PIPE
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            advice = "ulimit -f says how large a file may be" if error.errno == errno.EFBIG else "free some space"
            code = _fail(f"cannot write: {error.strerror}; {advice}", OutputError.exit_code)
        elif (short := shortage(error)) is not None:
            code = _fail(str(short), short.exit_code)
        else:
            raise
    if code in (_BROKEN_PIPE, OutputError.exit_code):
        _discard_stdout()
    sys.exit(code)


def leave_without(extra: str, program: str, install: str = "") -> None:
    """End the process with one line that says what to install, where a module of `extra` is not installed.

    For a command whose files import such modules at their top: called before they are. The modules are looked for, not
    imported, so that an import that fails for another reason is seen for what it is. `install`: the extra to name, if
    it is another one, which brings this one along.
    """
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        names, wanted = ", ".join(missing), install or extra
        message = f"{program} needs {names}, not installed here: pip install 'edgeline[{wanted}]'"
        sys.exit(_fail(message, DependencyError.exit_code))


def _invoke(command: click.Command, program: str, args: list[str]) -> int:
    try:
        with command.make_context(program, args) as context:
            value = command.invoke(context)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    return value if isinstance(value, int) else 0


def _with_cause(error: EdgelineError) -> str:
    """What an error says, and the limit of this process that was nearly reached: a decoder names no cause."""
    near = near_limits()
    return f"{error} ({near}: that may be why)" if near else str(error)


def _fail(message: str, code: int) -> int:
    # One line whatever an OpenCV or onnxruntime message inside it looks like.
    with contextlib.suppress(OSError):
        click.echo(f"error: {' '.join(message.split())}", err=True)
    return code


def _flush_stdout() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write standard output: {error.strerror}; free some space") from error


def _discard_stdout() -> None:
    """Let the interpreter's own flush at exit succeed: what is still buffered has nowhere to go."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)


@contextlib.contextmanager
def hidden_native_stderr() -> Iterator[None]:
    """Keep what C libraries (libpng, ffmpeg) write to descriptor 2 off the screen; Python's stderr stays.

    These libraries have no common switch, and a user cannot act on `[h264 @ 0x55..] error while decoding MB`.
    """
    try:
        screen = os.dup(2)
    except OSError:  # started with descriptor 2 closed: nothing to hide
        yield
        return
    python_stderr, own = sys.stderr, None
    try:
        owns_screen = python_stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):  # a replaced stderr, as in tests
        owns_screen = False
    if owns_screen:
        python_stderr.flush()
        own = os.fdopen(os.dup(screen), "w", buffering=1, encoding=python_stderr.encoding)
        sys.stderr = plain_stream(own)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)
        if own is not None:
            sys.stderr = python_stderr
            with contextlib.suppress(OSError):  # its disk is full: what was to be said has nowhere to go
                own.close()
