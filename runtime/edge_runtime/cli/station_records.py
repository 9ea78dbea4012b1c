"""The records of a store: asked for, verified, judged again."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import click

from edge_runtime.bundle.bundle import bundle_sha256
from edge_runtime.bundle.trust import TrustPolicy
from edge_runtime.cli.console import hidden_native_stderr
from edge_runtime.cli.options import PREPARING
from edge_runtime.cli.progress import ProgressLine
from edge_runtime.cli.station_status import store_of
from edge_runtime.errors import DataError, UsageError, VerificationError
from edge_runtime.inspect.opening import open_engine
from edge_runtime.inspect.record import to_line
from edge_runtime.inspect.settings import EngineSettings
from edge_runtime.inspect.sinks.lines import write_line
from edge_runtime.opening.options import OpenOptions
from edge_runtime.outputs.base import published
from edge_runtime.results import Judge
from edge_runtime.station.extract.write import Form, extract
from edge_runtime.station.replay import replay
from edge_runtime.station.rules.against import Floor
from edge_runtime.station.rules.held import with_floor
from edge_runtime.station.unfit import Unfit
from edge_runtime.store.chain import Anchor
from edge_runtime.store.entries import VERDICTS, PartVerdict
from edge_runtime.store.reading import Asked, Reader, Stored, store_reader
from edge_runtime.store.verify import verify_log
from edge_runtime.tune.standing import Asked as AskedOfMachine
from edge_runtime.tune.standing import stand

__all__ = ["COLUMNS", "moment_id", "query", "replay_event", "verify"]

_STORE = click.argument("place", metavar="STORE", type=click.Path(path_type=Path))
_FOLDER = click.Path(path_type=Path)
COLUMNS = ("event_id", "ts_utc", "station", "part", "verdict", "reasons", "source", "image", "frame_id", "seq")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@click.command()
@_STORE
@click.option("--since", metavar="TIME", help="From then on: 2026-01-31, 2026-01-31T09:30 (UTC), or 8h, 30m, 7d ago.")
@click.option("--until", metavar="TIME", help="Up to then.")
@click.option("--station", metavar="NAME", multiple=True, help="Of this station; may be given several times.")
@click.option("--verdict", metavar="V", multiple=True, type=click.Choice(VERDICTS), help="OK, WARN, NG or NO_READ.")
@click.option("--part", metavar="ID", default="", help="Of the part with this id.")
@click.option("--last", metavar="N", type=click.IntRange(min=1), help="The last N of them only.")
@click.option("--csv", "as_csv", is_flag=True, help=f"Comma-separated: {', '.join(COLUMNS)}.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, the whole record.")
@click.option("--pictures", metavar="DIR", type=_FOLDER, help="Copy the kept pictures to DIR/ok/, DIR/ng/, ...")
@click.option("--coco", metavar="DIR", type=_FOLDER, help="Copy those that were judged, with objects as COCO has them.")
@click.option("--yolo", metavar="DIR", type=_FOLDER, help="The same, with labels as YOLO has them.")
def query(
    place: Path,
    since: str | None,
    until: str | None,
    station: Sequence[str],
    verdict: Sequence[str],
    part: str,
    last: int | None,
    as_csv: bool,
    as_json: bool,
    pictures: Path | None,
    coco: Path | None,
    yolo: Path | None,
) -> None:
    """List events of a STORE in their order, while a station runs or not; or take them out with their pictures."""
    now = datetime.now(timezone.utc)
    asked = Asked(
        moment_id(since, now, "--since"),
        moment_id(until, now, "--until"),
        tuple(station),
        tuple(cast("PartVerdict", one) for one in verdict),
        part,
        last,
    )
    folders: dict[Form, Path | None] = {"pictures": pictures, "coco": coco, "yolo": yolo}
    given = {f"--{name}": bool(value) for name, value in (("csv", as_csv), ("json", as_json), *folders.items())}
    if sum(given.values()) > 1:
        two = " and ".join(name for name, is_given in given.items() if is_given)
        raise UsageError(f"{two} are forms of one answer; give one of them")
    with store_reader(store_of(place)) as reader:
        for form, folder in folders.items():
            if folder is not None:
                _extract(reader, asked, folder, form)
                return
        found = reader.query(asked)
        if as_csv:
            _write_csv(found)
            return
        for stored in found:
            record = published(stored)
            write_line(sys.stdout, to_line(record, ascii_only=True) if as_json else _line(record))


def _extract(reader: Reader, asked: Asked, folder: Path, form: Form) -> None:
    with ProgressLine("copying pictures") as progress:
        done = extract(reader, asked, folder, form, progress)
    objects = "" if form == "pictures" else f", {done.objects} object{'s' * (done.objects != 1)}"
    click.echo(f"{folder}: {done.pictures} picture{'s' * (done.pictures != 1)}{objects}")
    if done.classes.renumbered and form != "pictures":
        click.echo("classes are numbered anew, by their names: the models number them differently", err=True)
    for why, count in done.left_out.items():
        click.echo(f"{count} event{'s' * (count != 1)} left out: {why}", err=True)


def _write_csv(found: Iterable[Stored]) -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(COLUMNS)
    for stored in found:
        record = published(stored)
        record["reasons"] = "; ".join(record["reasons"])
        rows.writerow(["" if record.get(name) is None else record[name] for name in COLUMNS])


def _line(record: dict[str, Any]) -> str:
    part = f" part {record['part']}" if record.get("part") else ""
    reasons = f": {', '.join(record['reasons'])}" if record["reasons"] else ""
    return f"{record['ts_utc']} {record['event_id']} {record['station']}{part} {record['verdict']}{reasons}"


def moment_id(text: str | None, now: datetime, flag: str) -> str:
    """Return the least event id of a moment; None: "". Raises UsageError for what is no time."""
    if text is None:
        return ""
    ago = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])", text.strip())
    try:
        if ago is not None:
            moment = now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        else:
            moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        digits = f"{max(int(moment.timestamp() * 1000), 0):012x}"
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{flag} {text!r}: expected a time such as 2026-01-31, 2026-01-31T09:30 or 8h") from error
    return f"{digits[:8]}-{digits[8:]}"


@click.command("verify-log")
@_STORE
@click.option(
    "--against",
    metavar="SEQ:HASH",
    help="An entry's seq and hash as an output published it: all up to it is then as it was, whoever had the store.",
)
def verify(place: Path, against: str | None) -> None:
    """Prove that no record of a STORE was altered, removed or inserted since it was written.

    Exits with 13 where one was.
    """
    with store_reader(store_of(place)) as reader:
        found = verify_log(reader, None if against is None else _anchor(against))
    for one in found.breaks:
        click.echo(f"{place}: {one.what}")
    count = len(found.breaks)
    if count:
        raise VerificationError(f"{place} is not as it was written: {count} place{'s' * (count != 1)}, named above")
    for name in found.gone:
        click.echo(f"{place}: picture {name} is not there any more; its record is", err=True)
    if found.entries and not found.ended and against is None:
        raise VerificationError(
            f"{place}: head.json, which says how far the records had come, is gone or damaged; the {found.entries} "
            "that are there were not altered, but whether some are missing at the end only --against can tell"
        )
    click.echo(
        f"{place}: {found.entries} entries are as they were written, {found.pictures} pictures among them; "
        f"head {found.head.seq}:{found.head.hash}"
    )


def _anchor(text: str) -> Anchor:
    seq, _, digest = text.partition(":")
    if not (seq.isdigit() and re.fullmatch("[0-9a-f]{64}", digest)):
        raise UsageError(f"--against {text!r}: expected SEQ:HASH, as 17:{'0' * 6}...")
    return Anchor(int(seq), digest)


@click.command("replay")
@_STORE
@click.argument("event")
@click.option("--bundle", type=click.Path(path_type=Path), help="The bundle.  [default: the one that the station had]")
def replay_event(place: Path, event: str, bundle: Path | None) -> None:
    """Judge the picture of an EVENT again, and compare: the answer must be the same to the last bit.

    Of a NO_READ, the same must speak against its picture. Exits with 13 where it is not so.
    """

    def opened(path: Path, floor: Floor) -> Judge:
        here = stand(bundle_sha256(path), AskedOfMachine())
        with ProgressLine(PREPARING) as progress:
            # What judged then may be older than what runs now.
            asked = EngineSettings(path, OpenOptions(here.session), trust=TrustPolicy(allow_downgrade=True))
            settings = with_floor(asked, floor)
            return open_engine(settings, 1, 0, False, progress)

    with store_reader(store_of(place)) as reader, hidden_native_stderr():
        found = replay(reader, event, bundle, opened)
    recorded = _said(found.recorded["verdict"], found.recorded["reasons"])
    if isinstance(found, Unfit):
        _compare_unfit(event, recorded, found)
        return
    if found.exact:
        click.echo(f"{event}: {recorded}: the same to the last bit")
        return
    now = _said(found.ruled.verdict, found.ruled.reasons)
    if found.gated and found.ruled.verdict == found.recorded["verdict"]:
        click.echo(f"{event}: {recorded}: judged in full it is {now}; its gate had left out {found.gated} pieces")
        return
    if found.same_verdict:
        raise VerificationError(f"{event}: {recorded} again, but not to the last bit: another machine, or onnxruntime?")
    raise VerificationError(f"{event}: it was {recorded}, and is {now} now")


def _compare_unfit(event: str, recorded: str, found: Unfit) -> None:
    if found.same:
        click.echo(f"{event}: {recorded}: the same to the last bit")
    elif found.found is None:
        raise DataError(
            f"{event}: {recorded}: its picture alone has nothing against it; what it came after, and when, is not in it"
        )
    else:
        raise VerificationError(f"{event}: it was {recorded}, and is NO_READ ({found.found}) now")


def _said(verdict: str, reasons: Sequence[str]) -> str:
    return f"{verdict} ({', '.join(reasons)})" if reasons else verdict
