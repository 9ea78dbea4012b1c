"""What a precision looks like in a report: not in the common style sheet, which edge-bench has too, without onnx."""

from __future__ import annotations

from edge_export.quant.schemes import SCHEMES

__all__ = ["PRECISION_CSS"]

_LIGHT = "".join(f"--{scheme.name}:{scheme.colours[0]};" for scheme in SCHEMES)
_DARK = "".join(f"--{scheme.name}:{scheme.colours[1]};" for scheme in SCHEMES)
_CLASSES = "".join(f".p-{name}{{fill:var(--{name});background:var(--{name})}}\n" for name in (s.name for s in SCHEMES))

PRECISION_CSS = f"\n:root{{{_LIGHT}}}\n@media(prefers-color-scheme:dark){{:root{{{_DARK}}}}}\n{_CLASSES}"
