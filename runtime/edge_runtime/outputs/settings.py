"""What a recipe says of an output: one dataclass for each kind, and a field for each in `OutputEntry`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

__all__ = ["JsonLines", "OutputEntry"]


@dataclass(frozen=True)
class JsonLines:
    """One JSON object a line."""

    SHORT: ClassVar[str] = "path"

    path: Path = field(metadata={"help": "The file that lines are added to; a folder that is not there is made."})


@dataclass(frozen=True)
class OutputEntry:
    """One output: exactly one of these keys."""

    ONE_OF: ClassVar[bool] = True

    jsonl: JsonLines | None = field(default=None, metadata={"help": "JSON lines in a file."})
