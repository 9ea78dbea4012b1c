"""A page that is one file: no script, no network, and a policy of its own that forbids both in any case."""

from __future__ import annotations

from edge_export.certificate.markup import Markup, tag
from edge_export.certificate.style import CSS

__all__ = ["document", "tile"]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def document(title: str, body: Markup, more_css: str = "") -> str:
    """Return the whole page around `body`; `more_css` comes after the common style sheet."""
    head = tag(
        "head",
        tag("meta", attributes={"charset": "utf-8"}),
        tag("meta", attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", attributes={"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        tag("title", title),
        tag("style", Markup(CSS + more_css)),
    )
    page = tag("html", head, tag("body", tag("main", body)), attributes={"lang": "en"})
    return f"<!DOCTYPE html>\n{page}\n"


def tile(title: str, figure: str, words: str) -> Markup:
    """Return one large figure with its name above and what it is of below."""
    return tag("div", tag("span", title), tag("b", figure), tag("span", words), attributes={"class": "tile"})
