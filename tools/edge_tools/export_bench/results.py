"""The rows of all runs, kept in one JSON file: what was measured once is not measured again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.errors import DataError
from edge_runtime.files.atomic import write_text
from edge_tools.export_bench.judge import Judged
from edge_tools.export_bench.latency import Timed

__all__ = ["Results", "Row", "key_of", "sources_digest"]

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """One exporter on one model. `problem` says in one line why there are no figures.

    `bytes`: the .onnx with its weights; `folder_bytes`: the whole bundle without report.html, None for a plain .onnx.
    `peak_bytes`: of the export's process. `identical`: a second export gave the same bytes; None: not tried.
    """

    key: str
    subject: str
    exporter: str
    version: str
    fp32_bytes: int
    problem: str = ""
    seconds: float | None = None
    peak_bytes: int | None = None
    bytes: int | None = None
    folder_bytes: int | None = None
    output: str = ""
    judged: Judged | None = None
    timed: Timed | None = None
    identical: bool | None = None


class Results:
    """Rows by key; the youngest of a (subject, exporter) is the one that tables show.

    Several runs may write one file: each change is made to what the file holds at that moment.
    """

    def __init__(self, path: Path) -> None:
        """Read the file if it is there. Raises DataError for one that is none of ours."""
        self._path = path
        self._rows = _read(path)

    def find(self, key: str) -> Row | None:
        """Return the row with this key."""
        return self._rows.get(key)

    def put(self, row: Row) -> None:
        """Add a row, or replace the one with its key; it is the youngest then."""
        with self._changing():
            self._rows.pop(row.key, None)
            self._rows[row.key] = row

    def amend(self, key: str, timed: Timed | None) -> None:
        """Replace the latency of a row; its age stays what it is."""
        with self._changing():
            self._rows[key] = replace(self._rows[key], timed=timed)

    def youngest(self) -> list[Row]:
        """Return the last row put for each subject and exporter."""
        return list({(row.subject, row.exporter): row for row in self._rows.values()}.values())

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._rows = _read(self._path)
            yield
            content = {"schema": SCHEMA, "rows": [asdict(one) for one in self._rows.values()]}
            write_text(self._path, json.dumps(content, indent=1) + "\n")


def _read(path: Path) -> dict[str, Row]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']}")
        return {row.key: row for row in map(_row, content["rows"])}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} holds no results of this version ({error}); move it away") from error


def key_of(facts: Mapping[str, object]) -> str:
    """Return a short digest of everything that a row depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def sources_digest(folders: Iterable[Path]) -> str:
    """Return a short digest of the Python files below these folders: edgeline's own version while it is written."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


def _row(content: dict[str, Any]) -> Row:
    judged, timed = content.pop("judged"), content.pop("timed")
    return Row(**content, judged=judged and Judged(**judged), timed=timed and Timed(**timed))
