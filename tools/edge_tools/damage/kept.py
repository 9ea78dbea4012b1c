"""Outcomes on disk, so that a run that was broken off goes on with the next place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_tools.damage.tally import Row

__all__ = ["Kept"]


@dataclass(frozen=True)
class Kept:
    """The rows of one place in a file; `head` says what they hang on, and others are made anew."""

    path: Path
    head: str

    def or_made(self, make: Callable[[], Iterable[Row]]) -> list[Row]:
        """Return the rows that are kept, else make and keep them."""
        if self.path.exists():
            head, *lines = self.path.read_text().splitlines()
            if head == self.head:
                return [_row(line) for line in lines]
        rows = list(make())
        self.path.write_text("\n".join([self.head, *(json.dumps(asdict(row)) for row in rows)]) + "\n")
        return rows


def _row(line: str) -> Row:
    told = json.loads(line)
    return Row(
        told["where"],
        told["kind"],
        told["form"],
        told["severity"],
        told["outcome"],
        tuple(told["reasons"]),
        told["name"],
    )
