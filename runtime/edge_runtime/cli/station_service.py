"""`edge-station install` and `uninstall`: a station that starts with the machine."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.cli.station_run import recipe_of, tell_mistakes
from edge_runtime.files.sizes import parse_size
from edge_runtime.station.check import look_for
from edge_runtime.station.service.install import UNITS, install, uninstall, unit_for, user_of
from edge_runtime.station.service.unit import unit_name, unit_text

__all__ = ["install_service", "uninstall_service"]

_RECIPE = click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False), default=Path("station.yaml"))
_FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Of unit files; another is only written to.  [{UNITS}]",
)


@click.command("install")
@_RECIPE
@click.option("--user", metavar="NAME", help="Who runs it, not root.  [default: who called sudo, or owns the recipe]")
@click.option("--memory-limit", metavar="SIZE", help="As for edge-run; the kernel holds the service to it, too.")
@click.option("--print", "only_print", is_flag=True, help="Print the unit file, and write nothing.")
@_FOLDER
def install_service(
    recipe: Path, user: str | None, memory_limit: str | None, only_print: bool, folder: Path | None
) -> None:
    """Have the stations of RECIPE start with the machine, as a systemd service, and now.

    It may write into its store and its outputs' folders alone, gains no privileges, and is started anew where
    verdicts come to a stand. `systemctl reload NAME` (SIGHUP) reads the recipe anew.
    """
    loaded = recipe_of(recipe)
    tell_mistakes(recipe, look_for(loaded))
    limit = None if memory_limit is None else parse_size(memory_limit)
    unit = unit_for(loaded, user_of(recipe, user), limit)
    name = unit_name(unit.recipe)
    if only_print:
        click.echo(unit_text(unit, name), nl=False)
        return
    target = install(unit, UNITS if folder is None else folder, start=folder is None)
    click.echo(
        f"{target} is written"
        + (f"; {name} runs as {unit.user}, now and from every start on" if folder is None else "")
    )
    if unit.secrets:
        click.echo(
            f"its passwords: a line NAME=VALUE each of {', '.join(unit.secrets)} in /etc/edgeline/{name}.env, mode 600"
        )
    click.echo(f"systemctl status {name}; journalctl -u {name}; edge-station status {recipe} --watch")


@click.command("uninstall")
@_RECIPE
@_FOLDER
def uninstall_service(recipe: Path, folder: Path | None) -> None:
    """End the service of RECIPE, and forget it. Its store stays."""
    target = uninstall(recipe, UNITS if folder is None else folder, stop=folder is None)
    click.echo(f"{target} is removed; the store stays")
