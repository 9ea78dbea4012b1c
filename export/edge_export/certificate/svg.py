"""The strokes that pictures are made of: inline SVG, drawn 480 units wide, coloured by the style sheet's classes."""

from __future__ import annotations

from collections.abc import Sequence

from edge_export.certificate.markup import Markup, tag

__all__ = ["WIDTH", "label", "line", "number", "picture"]

WIDTH = 480


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    """Return a straight line of a class."""
    ends = {"x1": number(x1), "y1": number(y1), "x2": number(x2), "y2": number(y2)}
    return tag("line", attributes={"class": style, **ends})


def label(x: float, y: float, words: str, style: str, anchor: str = "start") -> Markup:
    """Return words at a place; `anchor` is "start", "middle" or "end", `style` a class or ""."""
    attributes = {"x": number(x), "y": number(y), "text-anchor": anchor}
    return tag("text", words, attributes={**attributes, "class": style} if style else attributes)


def picture(height: float, title: str, parts: Sequence[str], width: float = WIDTH) -> Markup:
    """Return a whole picture; `title` is what a screen reader says of it."""
    frame = {"viewBox": f"0 0 {number(width)} {number(height)}", "role": "img", "aria-label": title}
    return tag("svg", tag("title", title), *parts, attributes=frame)


def number(value: float) -> str:
    """Return a coordinate to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")
