"""The tables of `tools/MODELS.md`: what each family's models become, and what each mutation of a layout becomes."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import UsageError
from edge_tools.families.certified import LITTLE, Promise
from edge_tools.families.compare import Likeness
from edge_tools.families.outcome import Outcome

__all__ = ["MatrixRow", "MutatedRow", "into", "matrix", "mutations_table", "read_rows"]


@dataclass(frozen=True)
class MatrixRow:
    """One model in one form."""

    model: str
    form: str
    outcome: Outcome

    def line(self) -> str:
        """Return the row as a line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of(cls, line: str) -> MatrixRow:
        """Read what `line` gave."""
        row = json.loads(line)
        return cls(row["model"], row["form"], _outcome(row["outcome"]))

    def cell(self) -> str:
        """Say it in a few words, with the worst of what was compared where it is not exact."""
        like = self.outcome.likeness
        if self.outcome.word == "said" or like is None:
            return f"said: {self.outcome.why.split(':')[0]}"
        if self.outcome.word == "WRONG":
            return f"**WRONG**: {self.outcome.why}"
        worst = [f"F1 {like.f1:.2f}"] if like.f1 < 0.995 else []
        worst += [f"{name} {value:.2f}" for name, value in (("box", like.box), ("mask", like.mask)) if value < 0.99]
        worst += [f"score {like.score:.2f}"] if like.score > 0.01 else []
        worst += [f"point {like.point:.1f} px"] if like.point > 1 else []
        worst += [f"{like.aside} aside"] if like.aside else []
        what = "right" if like.right or like.wrong else "right: nothing to find"
        if self.outcome.told:  # int8, whose certificate was asked
            what += f" within its certificate{_promised(self.outcome)}"
        return ", ".join([what, *worst, *(["no verdict"] if self.outcome.verdicts == "NO_READ" else [])])


def _promised(outcome: Outcome) -> str:
    promise = outcome.promise
    if promise is None:
        return f", which promises nothing (the export says: {outcome.told})"
    figures = f"{promise.metric} {promise.measured:.2f}, promised {promise.bound:.2f}"
    if promise.lost > 0:
        figures += ": by chance, as few pictures may"
    if promise.bound < LITTLE:
        return f", which promises little ({figures}; the export says: {outcome.told})"
    return f" ({figures})"


@dataclass(frozen=True)
class MutatedRow:
    """One model whose layout was changed in one way."""

    base: str
    mutation: str
    outcome: Outcome


def matrix(rows: Sequence[MatrixRow]) -> str:
    """Return a line that counts for each form, and a table of models x forms."""
    forms = list(dict.fromkeys(row.form for row in rows))
    cells = {(row.model, row.form): row.cell() for row in rows}
    lines = [f"| model | answers | {' | '.join(forms)} |", "| --- | ---: |" + " --- |" * len(forms)]
    for model in dict.fromkeys(row.model for row in rows):
        known = [row.outcome.likeness for row in rows if row.model == model]
        right = next((str(like.right) for like in known if like is not None), "-")
        lines.append(f"| {model} | {right} | {' | '.join(cells.get((model, form), '-') for form in forms)} |")
    counts = [f"{form}: {_count([row.outcome for row in rows if row.form == form], 'models')}" for form in forms]
    return "\n".join(["\n".join(f"- {count}" for count in counts), "", *lines])


def mutations_table(rows: Sequence[MutatedRow]) -> str:
    """Return a table of mutations, with how often each came out how."""
    lines = ["| mutation | tried | right | said | WRONG |", "| --- | ---: | ---: | ---: | ---: |"]
    for mutation in dict.fromkeys(row.mutation for row in rows):
        words = Counter(row.outcome.word for row in rows if row.mutation == mutation)
        lines.append(f"| {mutation} | {sum(words.values())} | {words['right']} | {words['said']} | {words['WRONG']} |")
    bases = len({row.base for row in rows})
    return "\n".join([*lines, "", f"{bases} models. {_count([row.outcome for row in rows], 'layouts')}"])


def read_rows(path: Path) -> list[MutatedRow]:
    """Read rows that were written as JSON lines; of one model's mutation the last."""
    found: dict[tuple[str, str], MutatedRow] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["base"], row["mutation"]] = MutatedRow(row["base"], row["mutation"], _outcome(row["outcome"]))
    return list(found.values())


def _outcome(told: dict[str, Any]) -> Outcome:
    """Read what `dataclasses.asdict` made of an outcome; rows of before certificates were asked have no promise."""
    likeness, promise = told.pop("likeness"), told.pop("promise", None)
    return Outcome(
        **told,
        likeness=None if likeness is None else Likeness(**likeness),
        promise=None if promise is None else Promise(**promise),
    )


def into(text: str, name: str, table: str) -> str:
    """Put `table` between the markers `<!-- NAME -->` and `<!-- /NAME -->` of a document."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if start not in text or end not in text:
        raise UsageError(f"the document has no lines {start} and {end} to write the table between; add them")
    return re.sub(
        f"{re.escape(start)}.*?{re.escape(end)}", lambda _: f"{start}\n\n{table}\n\n{end}", text, flags=re.DOTALL
    )


def _count(outcomes: Sequence[Outcome], what: str) -> str:
    words = Counter(one.word for one in outcomes)
    boxes = [one.likeness.box for one in outcomes if one.word == "right" and one.likeness is not None]
    lowest = min((box for box in boxes if not math.isnan(box)), default=math.nan)
    return (
        f"{len(outcomes)} {what}: {words['right']} right, {words['said']} said not to be read or judged, "
        f"{words['WRONG']} wrong in silence. Lowest overlap of a right box: {lowest:.2f}."
    )
