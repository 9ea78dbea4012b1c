"""A tuned profile as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_runtime.blocks.measured import Measured
from edge_runtime.files.sizes import format_size
from edge_runtime.plan.form import Form
from edge_runtime.plan.measurements import BlockMeasurement, FormMeasurement
from edge_runtime.tune.choice import Choice, Goal
from edge_runtime.tune.label import label
from edge_runtime.tune.tuned import Duel, Trial, Tuned

__all__ = ["describe_blocks", "report"]

_FORMS: tuple[Form, ...] = ("resident", "streamed", "reloaded")


def report(tuned: Tuned, path: Path, taken: Path | None, blocks: str = "") -> str:
    """Return the profile as text, in 100 columns where names allow it; `taken`: the file that edge-run
    takes from now on; `blocks`: what describe_blocks said."""
    origin = tuned.provenance
    cores = f"{tuned.speeds.cores} core{'s' * (tuned.speeds.cores > 1)}"
    lines = [f"{tuned.bundle} on {origin.board}, {cores}, onnxruntime {origin.onnxruntime}, {origin.seconds:.0f} s", ""]
    lines += _table(_chosen_rows(tuned))
    if costs := _cost_rows(tuned):
        lines += ["", f"Milliseconds of one batch, {label(_alone(tuned.throughput))} each:", *_table(costs)]
    lines += ["", *_over_time(tuned), _storage(tuned)]
    if blocks:
        lines.append(blocks)
    lines += [f"Note: {note}" for note in tuned.notes]
    if not tuned.complete:
        lines.append("Interrupted: what had been measured is kept.")
    if taken == path:
        now = "edge-run takes it from now on; delete the file to undo that."
    else:
        now = f"edge-run takes {'the default settings' if taken is None else taken}."
    return "\n".join([*lines, "", f"Written to {path}", now])


def describe_blocks(measured: Measured) -> str:
    """Return what holding the blocks in each form takes, as prepare measured it, one line a form."""
    measurements = measured.measurements
    count, threads = len(measurements.blocks), measurements.threads
    lines = [f"Blocks for --memory-limit ({count}, {threads} thread{'s' * (threads > 1)}, one image):"]
    for form in _FORMS:
        found = _held(measurements.blocks, form)
        if found:
            # The plan lets the two overlap.
            loads = sum(one.load_ms for one in found)
            loading = f" and {_number(loads)} ms loading" if loads else ""
            held = format_size(sum(one.held_bytes for one in found))
            some = f" ({len(found)} of {count})" if len(found) < count else ""
            lines.append(f"  {form}{some}: {_number(sum(map(_run_ms, found)))} ms computing{loading}, {held} held")
    if measurements.whole is not None and measurements.whole.timings:
        whole = measurements.whole
        lines.append(f"  in one piece: {_number(whole.timings[0].ms)} ms, {format_size(whole.held_bytes)} held")
    return "\n".join(lines)


def _held(blocks: Sequence[BlockMeasurement], form: Form) -> list[FormMeasurement]:
    return [found for block in blocks for found in block.forms if found.form == form]


def _run_ms(form: FormMeasurement) -> float:
    return form.timings[0].ms if form.timings else 0.0


def _chosen_rows(tuned: Tuned) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("", "settings", "ms", "p95", "images/s", "times as fast"),
        ("onnxruntime", *_figures(tuned.default), ""),
    ]
    chosen: tuple[tuple[Goal, Choice], ...] = (("latency", tuned.latency), ("throughput", tuned.throughput))
    for goal, choice in chosen:
        trial = next((trial for trial in tuned.trials if trial.choice == choice), None)
        figures = _figures(trial) if trial else (label(choice), "", "", "")
        duel = next((duel for duel in tuned.duels if duel.goal == goal and duel.choice == choice), None)
        rows.append((f"best {goal}", *figures, "not confirmed" if duel is None else _ratio(duel)))
    return rows


def _figures(trial: Trial) -> tuple[str, str, str, str]:
    return label(trial.choice), _number(trial.p50_ms), _number(trial.p95_ms), _number(trial.images_per_s)


def _ratio(duel: Duel) -> str:
    return f"{duel.ratio:.2f} ({duel.low:.2f} to {duel.high:.2f})"


def _alone(choice: Choice) -> Choice:
    return replace(choice, lanes=1, batch=1, cores=())


def _cost_rows(tuned: Tuned) -> list[tuple[str, ...]]:
    """A row for each number of lanes, a column for each batch."""
    wanted = tuned.throughput
    found = {
        (trial.choice.lanes, trial.choice.batch): trial
        for trial in tuned.trials
        if replace(trial.choice, lanes=wanted.lanes, batch=wanted.batch) == wanted
    }
    batches = sorted({batch for _, batch in found})
    lanes = sorted({lane for lane, _ in found})
    if len(found) < 2:
        return []
    rows: list[tuple[str, ...]] = [("batch", *(str(batch) for batch in batches))]
    for lane in lanes:
        cells = [found.get((lane, batch)) for batch in batches]
        words = ["" if cell is None else f"{_number(cell.p50_ms)} ({_number(cell.images_per_s)}/s)" for cell in cells]
        rows.append((f"{lane} lane{'s' * (lane > 1)}", *words))
    return rows


def _over_time(tuned: Tuned) -> list[str]:
    lines = []
    if tuned.first_minute_per_s is not None and tuned.steady_per_s is not None:
        state = "in the steady state" if tuned.steady else "at the end, not yet steady"
        change = 100 * (tuned.steady_per_s / tuned.first_minute_per_s - 1)
        lasted = tuned.load_seconds or 0.0
        first = "the first minute" if lasted > 60 else f"the first {lasted:.0f} s"
        lines.append(
            f"Without a pause: {_number(tuned.first_minute_per_s)} images/s in {first}, "
            f"{_number(tuned.steady_per_s)} {state} ({change:+.1f} %)"
        )
    start, end = tuned.temperature.start_c, tuned.temperature.end_c
    if start is not None and end is not None:
        lines.append(f"Temperature: {start:.0f} °C at the start, {end:.0f} °C at the end")
    if tuned.throttled:
        lines.append(f"Clocks held down at the end: {', '.join(tuned.throttled)}")
    return lines


def _storage(tuned: Tuned) -> str:
    idle, computing = tuned.speeds.read_bytes_per_s, tuned.computing_read_bytes_per_s
    if computing is None:
        return f"Storage: not timed while computing; {format_size(idle)}/s is taken"
    return f"Storage: {format_size(idle)}/s idle, {format_size(computing)}/s while computing"


def _number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns aligned: the first two of words to the left, figures to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    words = 2 if rows[0][0] == "" else 1
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if k < words else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines
