"""From a file to a recipe, or to all that is wrong with it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.bundle.current import followed
from edge_runtime.errors import UsageError
from edge_runtime.inspect.secret import Hider
from edge_runtime.station.recipe.listed import with_listed
from edge_runtime.station.recipe.mistakes import Mistake, RecipeError
from edge_runtime.station.recipe.nodes import parse
from edge_runtime.station.recipe.recipe import Recipe
from edge_runtime.station.recipe.shape import MISSING, Reading
from edge_runtime.station.updates.versions import versions_of

__all__ = ["Loaded", "read_recipe", "read_what_is_right"]

_LARGEST = 1 << 20  # bytes


@dataclass(frozen=True)
class Loaded:
    """A recipe with where it stands: `lines` of its keys, and what takes its secrets out of texts.

    `mistakes` are those of its reading; where there are any, it is what could be read, without the keys `unread`.
    `links`: of each station whose bundle is FOLDER/current, that link; the recipe has the version that it led to.
    """

    file: Path
    recipe: Recipe
    lines: Mapping[str, int]
    hider: Hider
    mistakes: tuple[Mistake, ...] = ()
    unread: frozenset[str] = frozenset()
    links: Mapping[str, Path] = field(default_factory=dict)

    def again(self) -> Loaded:
        """Return it with what its links lead to now."""
        stations = dict(self.recipe.stations)
        for name, link in self.links.items():
            stations[name] = dataclasses.replace(stations[name], bundle=followed(link))
        return dataclasses.replace(self, recipe=dataclasses.replace(self.recipe, stations=stations))

    @property
    def moved(self) -> bool:
        """Whether a link leads elsewhere now."""
        return any(followed(link) != self.recipe.stations[name].bundle for name, link in self.links.items())

    def mistake(self, where: str, what: str) -> Mistake:
        """Return what is wrong with a key that was read."""
        return Mistake(self.lines.get(where, 1), where, what)


def read_recipe(file: Path, environment: Mapping[str, str] = os.environ) -> Loaded:
    """Read a recipe. Raises RecipeError with all that is wrong in it, UsageError for a file that cannot be read."""
    loaded = read_what_is_right(file, environment)
    if loaded.mistakes:
        raise RecipeError(file, loaded.mistakes)
    return loaded


def read_what_is_right(file: Path, environment: Mapping[str, str] = os.environ) -> Loaded:
    """Read as much of a recipe as can be read. Raises RecipeError for what is no YAML, and as `read_recipe` does."""
    try:
        if file.stat().st_size > _LARGEST:
            raise UsageError(f"{file} has more than {_LARGEST >> 20} MB: that is no recipe")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read the recipe {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read the recipe {file}: it is no UTF-8 text") from error
    reading = Reading(file.absolute().parent, environment)
    tree = parse(text, reading.mistakes)
    recipe = MISSING if tree is None else reading.read(Recipe, tree, "")
    if not isinstance(recipe, Recipe):
        raise RecipeError(file, reading.mistakes)
    recipe = with_listed(recipe, reading, file.absolute().parent, environment)
    hider, mistakes = Hider(reading.secrets), tuple(sorted(reading.mistakes))
    links = {name: each.bundle for name, each in recipe.stations.items() if versions_of(each.bundle) is not None}
    return Loaded(file, recipe, reading.lines, hider, mistakes, frozenset(reading.unread), links).again()
