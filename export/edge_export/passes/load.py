"""Load: the source, as it is."""

from __future__ import annotations

import dataclasses

from edge_export.model.sources import LoadOptions, load_source
from edge_export.state import Draft, Progress
from edge_export.text import printable

__all__ = ["load"]


def load(draft: Draft, progress: Progress) -> Draft:
    """Fill `source` with the model that the options name; big weights lie outside its graph where that is wanted."""
    given = draft.options.flags.preprocess
    size = (given["width"], given["height"]) if "width" in given and "height" in given else None
    with progress.step("load", 1) as advance:
        source = load_source(draft.options.source, LoadOptions(draft.options.input_shapes, size))
        proto = source.proto if draft.weights is None else draft.weights.move_out(source.proto)
        advance()
    name = source.facts.name
    facts = dataclasses.replace(source.facts, name=printable(name) if name is not None else None)
    source = dataclasses.replace(source, proto=proto, origin=printable(source.origin), facts=facts)
    return dataclasses.replace(draft, source=source)
