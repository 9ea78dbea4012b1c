"""Where the damaged material is seen: folders of files, films, MJPEG over HTTP, RTSP, and pictures of a bad camera.

Each place is a function from a plan to rows; the table at the end is the list of places.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.errors import DataError
from edge_tools.damage.boards import Board
from edge_tools.damage.camera import sending
from edge_tools.damage.encode import FORMATS
from edge_tools.damage.films import FILM_KINDS, FILMS, FilmVariant, board_film, film_variants, write_film
from edge_tools.damage.judge import EdgeRun, Said, by_file
from edge_tools.damage.live import Endured, endure
from edge_tools.damage.optical import OPTICAL, good_pictures, spoilt
from edge_tools.damage.rtsp import ENCODERS, LOSSY, Part, missing, played
from edge_tools.damage.tally import Row, outcome
from edge_tools.damage.variants import UNDAMAGED, Variant, dealt, made, undamaged, write

__all__ = ["PLACES", "Plan"]

_TOGETHER = 400  # files in a folder: one edge-run for all of them
_SHARES = {"files": 0.76, "films": 0.1, "mjpeg": 0.1}  # of the variants; the rest is what a bad camera shows


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run of the tool damages, how often, where, and who judges. `say` tells the user how far it is."""

    boards: list[Board]
    variants: int
    seed: int
    work: Path
    judge: EdgeRun
    say: Callable[[str], None]


def files(plan: Plan) -> Iterator[Row]:
    """Folders of damaged pictures, all kinds mixed, many to an edge-run."""
    whole = undamaged(len(plan.boards), 2 if plan.variants >= 500 else 1)
    yield from _folder(plan, plan.work / "undamaged", iter(whole), len(whole))
    wanted = round(plan.variants * _SHARES["files"]) if plan.variants >= 500 else plan.variants
    source = dealt(wanted, len(plan.boards), plan.seed)
    for begin in range(0, wanted, _TOGETHER):
        yield from _folder(plan, plan.work / f"files-{begin:05d}", source, min(_TOGETHER, wanted - begin))


def _folder(plan: Plan, folder: Path, source: Iterator[Variant], count: int) -> Iterator[Row]:
    variants = write(source, count, plan.boards, folder)
    said = by_file(plan.judge.of(folder))
    plan.say(f"{folder.name}: {len(variants)} files, {sum(map(len, said.values()))} records")
    for variant in variants:
        records = said.get(variant.name[:5], [])
        what = outcome(records, plan.boards[variant.board].boxes)
        name = f"{folder.name}/{variant.name}"
        yield Row("files", variant.kind, variant.form, variant.severity, what, _reasons(records), name)


def films(plan: Plan) -> Iterator[Row]:
    """Films, each by an edge-run of its own; every format undamaged first."""
    folder = plan.work / "films"
    folder.mkdir(parents=True, exist_ok=True)
    boards = plan.boards[:2]
    for form, film in FILMS.items():
        path = folder / f"whole-{form.replace(' ', '-').replace(',', '')}{film.suffix}"
        try:
            if not path.exists():
                write_film(board_film(boards[0], False, plan.seed), film, path)
        except DataError as error:
            plan.say(f"left out: {error}")
            continue
        records = plan.judge.of(path)
        yield _film_row(UNDAMAGED, form, 0.0, records, boards[0], late=False, name=path.name)
    wanted = round(plan.variants * _SHARES["films"])
    for variant in film_variants(wanted, len(boards), plan.seed, list(FILMS)):
        path = folder / variant.name
        board = boards[variant.board]
        if not path.exists() and not _harmed(variant, board, path):
            continue
        answer = plan.judge.asked(path)
        records = answer.records
        if not records and answer.code > 1 and answer.sentence:  # it could not be opened at all, and that was said
            records = [Said("NO_READ", (answer.sentence,))]
        yield _film_row(variant.kind, variant.form, variant.severity, records, board, variant.late, path.name)
        if variant.number % 40 == 39:
            plan.say(f"films: {variant.number + 1} of {wanted}")


def _harmed(variant: FilmVariant, board: Board, path: Path) -> bool:
    """Whether the damaged film could be written."""
    whole = path.with_stem("being-made")
    try:
        write_film(board_film(board, variant.late, variant.seed), FILMS[variant.form], whole)
    except DataError:
        return False
    rng = np.random.default_rng(variant.seed)
    whole.write_bytes(FILM_KINDS[variant.kind](whole.read_bytes(), variant.severity, rng))
    whole.rename(path)
    return True


def _film_row(kind: str, form: str, severity: float, records: list[Said], board: Board, late: bool, name: str) -> Row:
    """A film that shows the defect in every frame is at fault if one is OK; a late one if it says nothing at all."""
    what = outcome(records, board.boxes)
    if not late and any(record.verdict == "OK" for record in records):
        what = "OK"
    return Row("films", kind, form, severity, what, _reasons(records), name)


def mjpeg(plan: Plan) -> Iterator[Row]:
    """Streams of damaged JPEGs, a kind at a time; every frame that is judged counts, OK is a fault."""
    kinds = [UNDAMAGED, "cut", "cut, with an end", "cut, padded with zeros", "zeroed middle", "bits flipped"]
    kinds += [
        "garbage inside",
        "a piece missing",
        "tail of another",
        "restarts swapped",
        "restarts missing",
        "gray fill",
    ]
    each = max(8, round(plan.variants * _SHARES["mjpeg"] / len(kinds)))
    for kind in kinds:
        forms = [form for form in FORMATS if form.startswith("jpeg") and FORMATS[form].suffix == ".jpg"]
        forms = [form for form in forms if "restarts" in form] if kind.startswith("restarts") else forms
        parts: list[bytes] = []
        rng = np.random.default_rng(plan.seed)
        while len(parts) < each:
            number = len(parts)
            seed = int(rng.integers(2**31))
            board, form = int(rng.integers(len(plan.boards))), forms[number % len(forms)]
            data = made(Variant(number, kind, form, board, float(rng.uniform(0.05, 0.95)), seed), plan.boards)
            if data is not None:
                parts.append(data)
        boxes = [box for board in plan.boards for box in board.boxes]
        with sending(parts, 6.0) as camera:
            records = plan.judge.while_it_lasts(camera.url, lambda: _until(lambda: camera.sent >= each, each / 2 + 30))
        plan.say(f"mjpeg, {kind}: {camera.sent} sent, {len(records)} records")
        if not records:
            yield Row("mjpeg", kind, "jpeg", 0.0, "unnamed")
        for record in records:
            yield Row("mjpeg", kind, "jpeg", 0.0, outcome([record], boxes), record.reasons)


def optical(plan: Plan) -> Iterator[Row]:
    """Whole files of a camera gone wrong, against limits that were learnt from 20 good pictures of the same board."""
    scenes = plan.boards[:5]
    each = max(1, round(plan.variants * 0.11 / len(scenes) / len(OPTICAL)))
    for scene, board in enumerate(scenes):
        good, bad = plan.work / f"good-{scene}", plan.work / f"optical-{scene}"
        for folder in (good, bad):
            folder.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(good_pictures(board, 40, plan.seed + scene)):
            cv2.imwrite(str((good if number < 20 else bad) / f"{number:05d}.png"), picture)
        told = [(kind, (turn + 0.5) / each) for kind in OPTICAL for turn in range(each)]
        for number, (kind, severity) in enumerate(told, 100):
            cv2.imwrite(str(bad / f"{number:05d}.png"), spoilt(board, kind, severity, plan.seed + number))
        limits = plan.work / f"limits-{scene}.json"
        learnt = plan.judge.learn(good, limits)
        said = by_file(plan.judge.of(bad, ("--health", str(limits)) if learnt else ()))
        plan.say(f"optical, board {scene}: {len(told)} pictures, limits {'learnt' if learnt else 'not learnt'}")
        for number in range(20, 40):
            records = said.get(f"{number:05d}", [])
            verdicts = {record.verdict for record in records}
            seen = "found" if verdicts == {"OK"} else "no read" if "NO_READ" in verdicts else "elsewhere"
            yield Row("optical", UNDAMAGED, "png", 0.0, seen, _reasons(records), f"{bad.name}/{number:05d}.png")
        for number, (kind, severity) in enumerate(told, 100):
            records = said.get(f"{number:05d}", [])
            what = outcome(records, board.boxes)
            yield Row("optical", kind, "png", severity, what, _reasons(records), f"{bad.name}/{number:05d}.png")


def rtsp(plan: Plan) -> Iterator[Row]:
    """A camera that plays, is silent, dark, frozen, changes its size, loses packets, and whose server is killed."""
    why = missing()
    if why is not None:
        plan.say(f"rtsp left out: {why}")
        return
    frames = np.concatenate([board_film(board, False, plan.seed)[:5] for board in plan.boards[:8]])
    boxes = [box for board in plan.boards[:8] for box in board.boxes]
    short = plan.variants < 500
    for form, encoder in list(ENCODERS.items())[: 1 if short else None]:
        words = ("play", "stall", "play", "black", "gray", "white", "play", "size:480x480", "play", "kill", "play")
        parts = [Part(word, 4) for word in words[: 4 if short else None]]
        for part, record in played(frames, encoder, parts, plan.judge, plan.work):
            kind = UNDAMAGED if part.word == "play" else part.word
            yield Row("rtsp", kind, form, 0.0, outcome([record], boxes), record.reasons)
        plan.say(f"rtsp, {form}: {len(parts)} parts played")
    if not short:
        for form, encoder in LOSSY.items():
            for part, record in played(frames, encoder, [Part("play", 20)], plan.judge, plan.work):
                yield Row("rtsp", "1 % of packets lost", form, 0.0, outcome([record], boxes), record.reasons, part.word)
        freeze = [Part("play", 4), Part("freeze", 10)]
        for part, record in played(frames, ENCODERS["h264"], freeze, plan.judge, plan.work, ("--frozen-seconds", "3")):
            if part.word == "freeze":
                yield Row("rtsp", "freeze", "h264", 0.0, outcome([record], boxes), record.reasons)


def live(plan: Plan) -> Iterator[Row]:
    """What takes long: ten kills of an RTSP server, twenty changes of size, five minutes of lost packets."""
    why = missing()
    if why is not None:
        plan.say(f"live left out: {why}")
        return
    frames = np.concatenate([board_film(board, False, plan.seed)[:5] for board in plan.boards[:8]])
    boxes = [box for board in plan.boards[:8] for box in board.boxes]
    share = 1.0 if plan.variants >= 500 else 0.05
    yield from endure(Endured(frames, boxes, plan.judge, plan.work, share), plan.say)


def _until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.1)


def _reasons(records: list[Said]) -> tuple[str, ...]:
    told = [reason for record in records if record.verdict == "NO_READ" for reason in record.reasons]
    return tuple(dict.fromkeys(told))[:3]


PLACES: dict[str, Callable[[Plan], Iterator[Row]]] = {
    "files": files,
    "films": films,
    "mjpeg": mjpeg,
    "optical": optical,
    "rtsp": rtsp,
    "live": live,
}
