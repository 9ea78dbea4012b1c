"""`edge-run STATION.yaml`: a recipe says what runs, the command line only what this machine is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from edge_runtime.cli.console import hidden_native_stderr
from edge_runtime.cli.flags import Flags, asked_of, run_settings
from edge_runtime.cli.options import PREPARING, EdgeRun
from edge_runtime.cli.progress import ProgressLine
from edge_runtime.errors import EdgelineError, UsageError
from edge_runtime.inspect.settings import RunSettings
from edge_runtime.inspect.stop import Stop, stop_on_signals
from edge_runtime.station.check import look_for
from edge_runtime.station.recipe.load import Loaded, read_what_is_right
from edge_runtime.station.recipe.mistakes import Mistake, RecipeError
from edge_runtime.station.run import run_stations
from edge_runtime.station.service.notify import Hangup, Notifier, Service
from edge_runtime.station.updates.inbox import Inbox
from edge_runtime.station.updates.versions import Versions, versions_of
from edge_runtime.tune.standing import Asked, Standing

__all__ = ["recipe_of", "run_recipe", "tell_mistakes"]

# What a recipe does not say: of the machine, and of what is shown.
_ALLOWED = frozenset(EdgeRun.sections["Machine"]) - {"explain"} | {"arguments"}


def run_recipe(flags: Flags, arguments: Sequence[str], stand: Callable[[Path, Asked], Standing]) -> int:
    """Run the recipe that is the only argument; returns the exit code. Raises RecipeError and what a run raises."""
    if len(arguments) > 1:
        raise UsageError(f"a recipe says all that is run; leave out {arguments[1]}")
    context = click.get_current_context()
    given = [name for name in context.params if name not in _ALLOWED and _is_given(context, name)]
    if given:
        option = given[0].replace("as_", "").replace("_", "-")
        raise UsageError(f"--{option} is not for a recipe: what a station does is written in {arguments[0]}")
    loaded = recipe_of(Path(arguments[0]))

    def settings_for(bundle: Path, texts: Sequence[str]) -> RunSettings:
        return run_settings(flags, bundle, texts, stand(bundle, asked_of(flags, texts, lasting=True)))

    stop, reloading = Stop(), _Reloading(loaded)
    quiet = contextlib.nullcontext() if flags.on("verbose") else hidden_native_stderr()
    with (
        stop_on_signals(stop, reloading.hangup),
        quiet,
        ProgressLine(PREPARING) as progress,
        _hidden(reloading),
        contextlib.closing(Inbox(reloading.folders, _update_flags(flags), reloading.say)),
    ):
        service = Service(Notifier(), reloading.say)
        run_stations(loaded, settings_for, stop, progress, reloading.say, service, reloading)
    return stop.exit_code


class _Reloading:
    """Reads the recipe anew when SIGHUP has come (station/service/supervise.py)."""

    def __init__(self, loaded: Loaded) -> None:
        self._file, self.hider = loaded.file, loaded.hider
        self._loaded = loaded
        self.hangup = Hangup()

    def say(self, line: str) -> None:
        """Tell people a line, without secrets."""
        _say(self.hider.text(line))

    def asked(self) -> bool:
        return self.hangup.asked()

    def folders(self) -> set[Versions]:
        """The folders of versions that the stations run."""
        return {found for link in self._loaded.links.values() if (found := versions_of(link)) is not None}

    def ends(self) -> int:
        return self.hangup.number if self.hangup.ends() else 0

    def read(self) -> Loaded:
        loaded = recipe_of(self._file)
        tell_mistakes(self._file, look_for(loaded))
        self.hider = loaded.hider.and_of(self.hider)
        self._loaded = loaded
        return loaded


def _update_flags(flags: Flags) -> list[str]:
    """What an update that comes by an inbox is tried with: as the stations run."""
    given = [("--device", flags.get("device", str)), ("--memory-limit", flags.find("memory_limit", str))]
    words = [word for name, value in given if value not in (None, "auto") for word in (name, str(value))]
    if (signed := flags.find("require_signed", bool)) is not None:
        words.append("--require-signed" if signed else "--allow-unsigned")
    return words


def recipe_of(file: Path) -> Loaded:
    """Read a recipe; where it has mistakes, all of them are told, a line each. Raises UsageError."""
    try:
        loaded = read_what_is_right(file)
    except RecipeError as error:
        tell_mistakes(file, error.mistakes)
        raise
    if loaded.mistakes:
        tell_mistakes(file, look_for(loaded))
    return loaded


def tell_mistakes(file: Path, mistakes: Sequence[Mistake]) -> None:
    """Tell them on stderr, a line each. Raises UsageError where there are any."""
    for mistake in mistakes:
        click.echo(mistake.text(file), err=True)
    if count := len(mistakes):
        raise UsageError(f"{file} has {count} mistake{'s' * (count != 1)}, named above")


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that is gone
        click.echo(line, err=True)


@contextlib.contextmanager
def _hidden(reloading: _Reloading) -> Iterator[None]:
    """Take secrets out of an error that leaves the block."""
    try:
        yield
    except EdgelineError as error:
        if (text := reloading.hider.text(str(error))) == str(error):
            raise
        raise type(error)(text) from None
