"""What is wrong with a recipe: all of it at once, each with its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import UsageError

__all__ = ["Mistake", "RecipeError", "nearest"]


@dataclass(frozen=True, order=True)
class Mistake:
    """One: in which line (from 1), of which key ("stations.belt.source"; "": of the file), and what it is."""

    line: int
    where: str
    what: str

    def text(self, file: Path) -> str:
        """Return it as editors and compilers write it: FILE:LINE: KEY: WHAT."""
        return f"{file}:{self.line}: " + (f"{self.where}: " if self.where else "") + self.what


class RecipeError(UsageError):
    """A recipe that cannot be run."""

    def __init__(self, file: Path, mistakes: Iterable[Mistake]) -> None:
        self.file, self.mistakes = file, tuple(sorted(mistakes))
        super().__init__("; ".join(mistake.text(file) for mistake in self.mistakes))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return what to write for a word that is not known."""
    names = list(known)
    close = difflib.get_close_matches(word, names, 1, 0.6)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"
