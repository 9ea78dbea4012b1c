"""What a recipe says of how parts get their names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

__all__ = ["CodeId", "CodeKind", "CodeReader", "NameId", "PartIdEntry", "Required"]

CodeKind = Literal[
    "qr", "micro_qr", "datamatrix", "aztec", "pdf417", "code128", "code39", "code93", "ean13", "ean8", "upca", "upce",
    "itf", "codabar",
]  # fmt: skip
CodeReader = Literal["auto", "opencv", "zxing"]
Required = Literal["NO_READ", "NG"]  # what a part without a name is
_REQUIRED = "What a part without a name is: NO_READ or NG. Without this key it keeps its verdict."


def _check(pattern: str | None) -> None:
    """Raise ValueError for what is no pattern, or has no group `part`."""
    if pattern is None:
        return
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"this is no regular expression: {error}") from None
    if "part" not in groups:
        raise ValueError("the pattern needs a group that is the part's name: (?P<part>...)")


@dataclass(frozen=True)
class NameId:
    """The name of the picture's file holds the part's."""

    SHORT: ClassVar[str] = "pattern"

    pattern: str = field(
        metadata={"help": r"A regular expression found in the file's name, with a group part: '^(?P<part>[^_]+)_'."}
    )
    required: Required | None = field(default=None, metadata={"help": _REQUIRED})

    def __post_init__(self) -> None:
        """Raise ValueError for a pattern that cannot be used."""
        _check(self.pattern)


@dataclass(frozen=True)
class CodeId:
    """A 1D or 2D code on the part, read in its pictures."""

    kinds: tuple[CodeKind, ...] = field(
        default=(), metadata={"help": "Which codes are looked for: [datamatrix]. Without this key all that are known."}
    )
    region: tuple[int, ...] = field(
        default=(), metadata={"help": "Where it is looked for: [x, y, width, height], pixels. Else in all of it."}
    )
    pattern: str | None = field(
        default=None,
        metadata={"help": "What the whole code must be like, with a group part; others are passed over."},
    )
    reader: CodeReader = field(
        default="auto",
        metadata={"help": "zxing (the extra codes), or opencv: QR, EAN, UPC. auto: zxing if it is here."},
    )
    required: Required | None = field(default=None, metadata={"help": _REQUIRED})

    def __post_init__(self) -> None:
        """Raise ValueError for a region or a pattern that cannot be used."""
        _check(self.pattern)
        if self.region and (len(self.region) != 4 or min(self.region) < 0 or min(self.region[2:]) < 1):
            raise ValueError("a region is [x, y, width, height] in pixels, and not empty")


@dataclass(frozen=True)
class PartIdEntry:
    """Where a part's name is: exactly one of these keys. What a trigger brings is its name without any."""

    ONE_OF: ClassVar[bool] = True

    name: NameId | None = field(default=None, metadata={"help": "In the name of the picture's file."})
    code: CodeId | None = field(default=None, metadata={"help": "In a code that the picture shows."})
