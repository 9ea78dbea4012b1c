"""Everything that was measured, turn by turn: the raw samples, and each choice's trial out of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_runtime.tune.choice import Choice
from edge_runtime.tune.contest import Entrant, Round, percentile
from edge_runtime.tune.label import label
from edge_runtime.tune.tuned import Trial

__all__ = ["Record"]

# Of one turn so many samples are kept in the file, evenly chosen: a small model makes thousands of them a second.
_MOST_SAMPLES = 200


@dataclass
class _Turns:
    phase: str
    ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


class Record:
    """Collects turns. A choice's trial is made of the last phase it took part in, as the machine was by then.

    Once `held` to what it has, nothing that comes later changes an entrant's trial.
    """

    def __init__(self) -> None:
        self._turns: dict[Entrant, _Turns] = {}
        self._rows: list[tuple[str, ...]] = []
        self._held: set[Entrant] = set()

    def add(self, phase: str, entrant: Entrant, turn: Round, seconds: float) -> None:
        """Note one turn that ended `seconds` after the start."""
        if entrant not in self._held:
            turns = self._turns.get(entrant)
            if turns is None or turns.phase != phase:
                turns = self._turns[entrant] = _Turns(phase)
            turns.ms += turn.ms
            turns.rates.append(turn.images_per_s)
        step = max(-(-len(turn.ms) // _MOST_SAMPLES), 1)
        name = "onnxruntime" if entrant is None else label(entrant)
        self._rows += [(f"{seconds:.3f}", phase, name, f"{ms:.4f}") for ms in turn.ms[::step]]

    def trial(self, entrant: Entrant, choice: Choice) -> Trial | None:
        """Return an entrant's trial as one of `choice`; None if it had no turn."""
        turns = self._turns.get(entrant)
        if turns is None or not turns.ms:
            return None
        rates = sorted(turns.rates)
        return Trial(
            choice, percentile(turns.ms, 0.5), percentile(turns.ms, 0.95), rates[len(rates) // 2], len(turns.ms)
        )

    def hold(self, entrants: Iterable[Entrant]) -> None:
        """Keep what these have now: they were compared side by side, and are to stay comparable."""
        self._held |= {entrant for entrant in entrants if entrant in self._turns}

    def holds(self, entrant: Entrant) -> bool:
        """Tell whether `hold` kept this one's trial."""
        return entrant in self._held

    def choices(self) -> list[Choice]:
        """Return every choice that had a turn, plain onnxruntime apart."""
        return [entrant for entrant in self._turns if entrant is not None]

    def csv(self) -> str:
        """Return the samples: seconds since the start (of the turn's end), phase, who, milliseconds of one batch."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("seconds", "phase", "choice", "batch_ms"))
        writer.writerows(self._rows)
        return text.getvalue()
