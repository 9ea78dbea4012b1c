"""What the user may say to a source, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

__all__ = ["LoadOptions"]


@dataclass(frozen=True)
class LoadOptions:
    """`input_shapes`: by input name, in the order of a module's arguments; 1 or a name first leaves the
    batch free.

    `size`: width and height in pixels of a Hugging Face model's images, where its processor's is not wanted.

    `task`: a Hugging Face task, when the folder's config does not tell. `opset`: of models that are
    converted here.
    """

    input_shapes: Mapping[str, tuple[Union[int, str], ...]] = field(default_factory=dict)
    size: Union[tuple[int, int], None] = None
    task: Union[str, None] = None
    opset: int = 18
