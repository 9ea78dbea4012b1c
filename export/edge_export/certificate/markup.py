"""HTML and SVG as text that cannot be broken out of: whatever is not Markup already is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Markup", "fold", "join", "table", "tag", "text"]

_EMPTY: Mapping[str, str] = {}
_VOID = frozenset({"br", "img", "link", "meta"})


class Markup(str):
    """Text that holds markup on purpose."""

    __slots__ = ()


def text(words: str) -> Markup:
    """Return words as markup: names of models, layers, labels and files come from strangers."""
    return words if isinstance(words, Markup) else Markup(html.escape(words, quote=True))


def tag(name: str, *children: str, attributes: Mapping[str, str] = _EMPTY) -> Markup:
    """Return one element; children that are not Markup are escaped, attributes always are."""
    head = "".join(f' {key}="{html.escape(value, quote=True)}"' for key, value in attributes.items())
    return Markup(f"<{name}{head}>" if name in _VOID else f"<{name}{head}>{join(children)}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Markup:
    """Return the parts one after another."""
    return Markup(text(between).join(text(part) for part in parts))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], caption: str, numbers: Sequence[int] = ()) -> Markup:
    """Return a table; `numbers` are the columns that are aligned on the right. The first cell heads its row.

    On a phone the rows of a wide table become cards: each cell then shows its heading, which it carries in
    `data-head`, and the roles keep it a table for a screen reader.
    """
    columns = [_column(heading, index in numbers) for index, heading in enumerate(headings)]
    heads = (tag("th", column.heading, attributes=column.head) for column in columns)
    body = (
        tag(
            "tr",
            *(
                tag("td" if index else "th", cell, attributes=column.cell if index else column.first)
                for index, (column, cell) in enumerate(zip(columns, row, strict=True))
            ),
            attributes=_ROW,
        )
        for row in rows
    )
    inner = (
        tag("caption", caption),
        tag("thead", tag("tr", *heads, attributes=_ROW), attributes=_GROUP),
        tag("tbody", *body, attributes=_GROUP),
    )
    wide = len(columns) > 3 or len(columns) - len(numbers) > 1  # many columns, or one of words beside the first
    style = {"class": "cards"} if wide else {}
    # The frame takes the scrolling of a table that is too wide all the same: the page itself never moves sideways.
    return tag("div", tag("table", *inner, attributes={"role": "table", **style}), attributes={"class": "scroll"})


@dataclass(frozen=True)
class _Column:
    heading: str
    head: Mapping[str, str]
    first: Mapping[str, str]
    cell: Mapping[str, str]


def _column(heading: str, number: bool) -> _Column:
    style = {"class": "number"} if number else {}
    return _Column(
        heading,
        {"scope": "col", "role": "columnheader", **style},
        {"scope": "row", "role": "rowheader", **style},
        {"role": "cell", "data-head": heading, **style},
    )


_ROW: Mapping[str, str] = {"role": "row"}
_GROUP: Mapping[str, str] = {"role": "rowgroup"}


def fold(summary: str, *children: str, opened: bool = False) -> Markup:
    """Return a part that is folded away until it is asked for."""
    return tag("details", tag("summary", summary), *children, attributes={"open": ""} if opened else _EMPTY)
