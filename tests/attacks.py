"""Bundles changed as an attacker changes them: any value, array or byte, with every hash and the seal made anew.

What a seed does is always the same, so that a failure is told by its seed alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.seal import UNSEALED, seal

__all__ = ["attack", "reseal", "write_arrays"]

# Texts of JSON: what no Python value can be written as is here, too.
_JSON = (
    "1e999", "-1", "0", "1", "2", "9223372036854775808", "1" + "0" * 4200, "-" + "9" * 4299, "1e308", "0.5", "-0.0",
    "NaN", "Infinity", "null", "true", "[]", "{}", '""', '"\\u0000"', '"\\ud800"', '"\\u001b[2J"', '"\\u202e"',
    '"weights.bin"', '"../x"', '"images"', '"raw"', '"detect"', '"segment"', '"anomaly"', '"classify"', "[[[[]]]]",
    "[0]", "[1,2,3]", '["a","a"]', "4096", "16", "65536", "16777216", '{"task":"raw"}',
    '{"task":"detect","format":"yolov8"}', '{"task":"segment"}', '{"task":"anomaly"}',
)  # fmt: skip
_HELD = "\N{SNOWMAN}held\N{SNOWMAN}"  # where a text of JSON goes
_PNG = b"\x89PNG\r\n\x1a\n"


def attack(bundle: Path, seed: int) -> str:
    """Change a bundle folder in place and seal it again. Returns what was done, in words."""
    rng = random.Random(seed)
    kind = rng.choice(("manifest", "manifest", "manifest", "arrays", "arrays", "bytes"))
    if kind == "manifest":
        return _manifest(bundle, rng)
    if kind == "arrays":
        return _arrays(bundle, rng)
    name = rng.choice(("golden.npz", "model.onnx", "block-00.onnx"))
    data = bytearray((bundle / name).read_bytes())
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    (bundle / name).write_bytes(data)
    reseal(bundle)
    return f"bytes of {name}"


def reseal(bundle: Path, text: str | None = None) -> None:
    """Give a bundle's manifest (`text`, else as it lies there) the hashes of what is there, and seal it."""
    path = bundle / "manifest.json"
    data = json.loads(path.read_text() if text is None else text, parse_int=_Kept, parse_float=_Kept)
    if isinstance(data.get("files"), dict):
        for name, entry in data["files"].items():
            file = bundle / name if isinstance(name, str) and "/" not in name and "\0" not in name else bundle / "-"
            if file.is_file() and isinstance(entry, dict):
                held = file.read_bytes()
                entry.update(size=len(held), sha256=hashlib.sha256(held).hexdigest())
    data["digest"] = UNSEALED
    payload = re.sub(f'"{_HELD}([^"]*)"', lambda found: found[1], json.dumps(data, ensure_ascii=False))
    path.write_bytes(seal(payload.encode("utf-8", "surrogatepass")))


def _Kept(text: str) -> str:  # noqa: N802 -- stands for a type
    """A number's text, written again as it is: of more digits than Python turns to a number."""
    return _HELD + text


def _manifest(bundle: Path, rng: random.Random) -> str:
    path = bundle / "manifest.json"
    data = json.loads(path.read_text())
    said = []
    raw: list[tuple[Any, Any, str]] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        place, key, where = _place(data, rng)
        what = rng.choice(("value", "value", "value", "gone", "twice", "more"))
        if what == "gone":
            del place[key]
        elif what == "twice" and isinstance(place, list):
            place.insert(key, place[key])
        elif what == "more" and isinstance(place, dict):
            place["x" + str(rng.randrange(9))] = 1
        else:
            text = rng.choice(_JSON)
            raw.append((place, key, text))
            what = text[:40]
        said.append(f"{where}: {what}")
    for place, key, text in raw:
        try:
            place[key] = _Raw(text)
        except (IndexError, KeyError):
            continue
    written = _written(data)
    try:
        reseal(bundle, written)
    except ValueError:  # no JSON that Python reads: as it is
        path.write_bytes(written.encode("utf-8", "surrogatepass"))
    return "; ".join(said)


class _Raw(str):
    """JSON to be written as it is."""

    __slots__ = ()


def _written(data: Any) -> str:
    if isinstance(data, _Raw):
        return str(data)
    if isinstance(data, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_written(value)}" for key, value in data.items()) + "}"
    if isinstance(data, list):
        return "[" + ",".join(map(_written, data)) + "]"
    return json.dumps(data)


def _place(data: Any, rng: random.Random) -> tuple[Any, Any, str]:
    """A container within, one of its keys, and the path of that."""
    place, where = data, "$"
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = rng.choice([one for one in keys if one not in ("digest", "schema")] or ["x"])
        if key == "x":
            place["x"] = 1
        where += f".{key}"
        child = place[key]
        if not isinstance(child, (dict, list)) or not child or rng.random() < 0.2:
            return place, key, where
        place = child


def _arrays(bundle: Path, rng: random.Random) -> str:
    path = bundle / "golden.npz"
    with np.load(path) as held:
        arrays: dict[str, NDArray[Any]] = {name: held[name] for name in held.files}
    said = []
    for _ in range(rng.choice((1, 1, 2))):
        if not arrays:
            break
        name = rng.choice(sorted(arrays))
        what, value = _changed(arrays[name], name, rng)
        said.append(f"{name} {what}")
        if value is None:
            del arrays[name]
        elif what == "moved":
            arrays[rng.choice(_NAMES)] = arrays.pop(name)
        else:
            arrays[name] = value
    write_arrays(path, arrays)
    reseal(bundle)
    return "; ".join(said)


_NAMES = (
    "image_00",
    "image_99",
    "input_",
    "input_images",
    "output_",
    "output_x",
    "answer_00",
    "within_x",
    "x",
    "index_",
)


_OF_NUMBERS = ("float", "complex")


def _changed(array: NDArray[Any], name: str, rng: random.Random) -> tuple[str, NDArray[Any] | None]:
    kinds = {
        "gone": lambda: None,
        "moved": lambda: array,
        "empty": lambda: array[:0],
        "scalar": lambda: np.asarray(rng.choice((0, -1, 2**40, float("nan")))),
        "text": lambda: np.asarray(["x"]),
        "objects": lambda: np.asarray([b"x" * 9]),
        "long": lambda: np.concatenate([array, array]) if array.ndim else array,
        "deep": lambda: array[None],
        "flat": lambda: array.reshape(-1),
        "float": lambda: array.astype(np.float64),
        "nan": lambda: np.full(array.shape, np.nan, np.float32),
        "huge": lambda: np.full(array.shape, 3e38, np.float32),
        "large": lambda: np.full(array.shape, 2**62, np.int64),
        "below": lambda: np.full(array.shape, -(2**62), np.int64),
        "complex": lambda: array.astype(np.complex64),
        "half": lambda: array[: len(array) // 2] if array.ndim else array,
        "wide": lambda: np.zeros((2, 0, 2**40), np.uint8),
        "picture": lambda: np.frombuffer(_png(rng.choice((1, 60, 3000)), rng.choice((1, 40, 3000))), np.uint8),
        "bomb": lambda: np.frombuffer(_png(32767, 32767, False), np.uint8),
    }
    what = rng.choice(sorted(kinds))
    return what, array if array.dtype.kind in "US" and what in _OF_NUMBERS else kinds[what]()


def _png(width: int, height: int, whole: bool = True) -> bytes:
    """A black picture of that size; not `whole`: only its header claims to be one."""
    rows = zlib.compress(bytes((width + 1) * height) if whole else b"", 1)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    parts = (struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
             for kind, body in chunks)  # fmt: skip
    return _PNG + b"".join(parts)


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a golden.npz of any arrays."""
    made = io.BytesIO()
    np.savez(made, **arrays)
    path.write_bytes(made.getvalue())


def fresh(pristine: Path, folder: Path) -> Path:
    """A copy to be changed."""
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(pristine, folder))
