"""How long a new version is on probation, as a recipe says it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Updates"]


@dataclass(frozen=True)
class Updates:
    """A version that was switched to is confirmed once both are over without a failure."""

    parts: int = field(
        default=20, metadata={"help": "Parts that it has to judge (NO_READ is none) before it is confirmed."}
    )
    time: float = field(
        default=600.0, metadata={"unit": "seconds", "help": "How long it has to be at work before it is confirmed."}
    )

    def __post_init__(self) -> None:
        """Raise ValueError for less than none."""
        if self.parts < 0:
            raise ValueError(
                "parts is how many parts a new version judges before it is confirmed; it cannot be less than 0"
            )
