"""What an export reads and writes: whether it is there, and what may be replaced, known before work starts."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edge_export.state import ExportOptions
from edge_export.text import printable
from edge_runtime.bundle.bundle import MANIFEST, REPORT
from edge_runtime.errors import DataError, OutputError

__all__ = ["check_data", "check_target"]

_ADVICE = "choose another --output"
# The folder is made under a longer, temporary name beside it; file systems allow 255 bytes.
_LONGEST_NAME = 220


def check_target(target: Path) -> None:
    """Raise OutputError unless `target` can be made, or is a bundle: that is renamed away and deleted as a whole."""
    try:
        _check_place(target)
        if target.exists():
            _check_bundle(target)
    except OSError as error:
        raise OutputError(f"{str(target)[:80]}: cannot be looked at: {error.strerror}; {_ADVICE}") from error


def _check_place(target: Path) -> None:
    if target.name in ("", "..") or target.is_symlink():
        what = "is a link" if target.is_symlink() else "names no new folder"
        raise OutputError(f"{target} {what}; give the bundle's own path with --output, such as model.edge")
    if printable(str(target.absolute())) != str(target.absolute()):
        raise OutputError(f"{printable(str(target))} is not UTF-8, and onnxruntime opens no such path; {_ADVICE}")
    if len(os.fsencode(target.name)) > _LONGEST_NAME:
        raise OutputError(f"the name {target.name[:40]}... has over {_LONGEST_NAME} bytes; {_ADVICE}")
    parent = target.absolute().parent
    if not parent.is_dir():
        raise OutputError(f"the folder {parent} does not exist; make it, or {_ADVICE}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {parent} may not be written to; change its rights, or {_ADVICE}")


def _check_bundle(target: Path) -> None:
    advice = f"{_ADVICE}, or remove it yourself"
    if not target.is_dir():
        raise OutputError(f"{target} is a file, not a bundle; {advice}")
    listed = _listed_files(target / MANIFEST)
    if listed is None:
        raise OutputError(f"{target} exists and is not a bundle (no {MANIFEST} of a bundle in it); {advice}")
    for entry in sorted(os.scandir(target), key=lambda entry: entry.name):
        if entry.name not in listed or not entry.is_file(follow_symlinks=False):
            raise OutputError(f"{target} holds {entry.name!r}, which is no part of a bundle; {advice}")


def _listed_files(manifest: Path) -> set[str] | None:
    """Names that a bundle may hold: what its manifest lists, its own and the report's; None where it is no bundle's."""
    if not manifest.is_file():
        return None
    try:
        data = json.loads(manifest.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not {"schema", "blocks", "files"} <= set(data):
        return None
    files = data["files"]
    return {MANIFEST, REPORT, *files} if isinstance(files, dict) else None


def check_data(options: ExportOptions) -> None:
    """Raise DataError for a path that cannot be looked at (a name too long, a folder of another user)."""
    for flag, path in (("--calibrate", options.calibrate), ("--evaluate", options.evaluate)):
        try:
            if path is not None and not path.exists():
                raise DataError(f"{flag}: {path} is not there; check the path")
        except OSError as error:
            raise DataError(
                f"{flag}: {str(path)[:80]} cannot be looked at: {error.strerror}; check the path"
            ) from error
