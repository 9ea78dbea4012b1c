"""The rooms of the packages: each folder, and each file directly in a package, imports the others one way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

PACKAGES = ("runtime/edge_runtime", "export/edge_export", "devices/edge_devices", "tools/edge_tools")
# A room imports what stands before it. A new one is put in here.
RUNTIME = (
    "errors", "files", "bundle", "results", "ort", "vision", "plan", "blocks", "verify", "prepare", "opening",
    "engine", "batching", "store", "inspect", "outputs", "tune", "station", "cli", "__init__",
)  # fmt: skip
EXPORT = (
    "__init__", "graph", "state", "run", "probe", "text", "paths", "memory", "model", "evaluate", "quant", "search",
    "blocks", "certificate", "cleanups", "passes", "pipeline", "cli", "qat", "__main__",
)  # fmt: skip
ORDERS = {"runtime/edge_runtime": RUNTIME, "export/edge_export": EXPORT}
MOST_ROOMS = 20


def imported(source: str) -> Iterator[str]:
    """Everything that a module imports, where and whenever: inside of functions, and for the type checker alone."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def rooms_of(package: Path) -> dict[str, set[str]]:
    """Each room with the other rooms of its package that it imports."""
    names = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    found: dict[str, set[str]] = {name: set() for name in names}
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        for name in imported(path.read_text(encoding="utf-8")):
            first, _, rest = name.partition(".")
            if first == package.name:
                other = rest.partition(".")[0]
                found[room].add(other if other in names else "__init__")
        found[room].discard(room)
    return found


def reachable(rooms: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    left = [start]
    while left:
        new = rooms[left.pop()] - seen
        seen |= new
        left.extend(new)
    return seen


@pytest.mark.parametrize("package", PACKAGES)
def test_no_room_imports_itself_through_others(package: str) -> None:
    rooms = rooms_of(ROOT / package)
    assert {room: rooms[room] for room in rooms if room in reachable(rooms, room)} == {}


@pytest.mark.parametrize("package", ORDERS)
def test_the_rooms_stand_in_order(package: str) -> None:
    rooms, order = rooms_of(ROOT / package), ORDERS[package]
    assert set(rooms) == set(order)
    above = {room: rooms[room] - set(order[: order.index(room)]) for room in order}
    assert {room: others for room, others in above.items() if others} == {}


def test_only_ort_opens_onnxruntime() -> None:
    runtime = ROOT / "runtime/edge_runtime"
    found = {
        path.relative_to(runtime) for path in runtime.rglob("*.py") if "InferenceSession(" in path.read_text("utf-8")
    }
    assert {path.parts[0] for path in found} == {"ort"}


@pytest.mark.parametrize("package", PACKAGES[:2])
def test_a_package_has_no_more_rooms_than_one_can_keep_in_mind(package: str) -> None:
    assert len(rooms_of(ROOT / package).keys() - {"__init__"}) <= MOST_ROOMS


def test_a_circle_is_found_however_it_is_imported(tmp_path: Path) -> None:
    package = tmp_path / "house"
    for room, text in {
        "a": "from house import b",
        "b": "def late():\n    import house.c.deep",
        "c": "if TYPE_CHECKING:\n    from house.a import name",
        "d": "from house.a import name",
    }.items():
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").write_text(text)
    rooms = rooms_of(package)
    assert [room for room in sorted(rooms) if room in reachable(rooms, room)] == ["a", "b", "c"]
