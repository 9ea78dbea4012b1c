import random
import shutil
from pathlib import Path

import pytest

from edge_runtime.cli.sample import find_sample
from edge_tools.station.power.__main__ import run_cuts
from edge_tools.station.power.disk import Disk
from edge_tools.station.power.log import Step


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_stations_whose_power_is_cut_lose_nothing_and_tell_nothing_twice(tmp_path):
    books = run_cuts(tmp_path, 2, random.Random(5), film=str(find_sample().images))
    assert books.wrong == []
    assert books.kills == 2


def steps(*names):
    """Create files, write into each, flush nothing."""
    return [
        step
        for number, name in enumerate(names, 1)
        for step in (
            Step("open", (1, number), paths=(name,)),
            Step("write", (1, number), 0, bytes([64 + number]) * 1500),
        )
    ]


def left(disk, folder, chances=60):
    """What cuts leave: of each the names and bytes."""
    found = []
    for seed in range(chances):
        place = folder / str(seed)
        place.mkdir()
        disk.cut(place, random.Random(seed))
        found.append({path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*.db")})
    return found


def after(all_steps, first: Path | None = None):
    disk = Disk(first)
    for step in all_steps:
        disk.follow(step)
    return disk


FOLDER = (Step("open", (1, 9), paths=(".",)), Step("sync", (1, 9)))


def test_what_was_not_flushed_may_be_there_or_not(tmp_path):
    found = left(after(steps("a.db")), tmp_path)
    contents = {names.get("a.db") for names in found}
    assert None in contents
    assert b"A" * 1500 in contents
    assert any(content and content != b"A" * 1500 for content in contents), "a part of a write"


def test_what_was_flushed_is_there(tmp_path):
    flushed = [*steps("a.db"), Step("sync", (1, 1)), *FOLDER]
    later = Step("write", (1, 1), 512, b"B" * 512)
    assert all(names["a.db"] == b"A" * 1500 for names in left(after(flushed), tmp_path))
    (tmp_path / "later").mkdir()
    contents = {names["a.db"] for names in left(after([*flushed, later]), tmp_path / "later")}
    assert contents == {b"A" * 1500, b"A" * 512 + b"B" * 512 + b"A" * 476}


def test_a_later_write_may_be_there_without_an_earlier_one(tmp_path):
    more = Step("write", (1, 1), 1500, b"B" * 548)
    contents = {names["a.db"] for names in left(after([*steps("a.db"), *FOLDER, more]), tmp_path)}
    assert bytes(1500) + b"B" * 548 in contents


def test_a_rename_is_there_or_not_and_never_half(tmp_path):
    old = tmp_path / "first"
    old.mkdir()
    (old / "a.db").write_bytes(b"old")
    new = [*steps("b.db"), Step("sync", (1, 1)), Step("rename", (0, 0), paths=("b.db", "a.db"))]
    (tmp_path / "cut").mkdir()
    contents = {names["a.db"] for names in left(after(new, old), tmp_path / "cut")}
    assert contents == {b"old", b"A" * 1500}
    (tmp_path / "sure").mkdir()
    found = left(after([*new, *FOLDER], old), tmp_path / "sure")
    assert all(names == {"a.db": b"A" * 1500} for names in found)


def test_a_file_without_its_folder_is_nowhere(tmp_path):
    made = [Step("folder", (0, 0), paths=("in",)), *steps("in/a.db"), Step("sync", (1, 1))]
    inner = (Step("open", (1, 8), paths=("in",)), Step("sync", (1, 8)))
    found = left(after([*made, *inner]), tmp_path)
    assert {} in found
    assert {"in/a.db": b"A" * 1500} in found
    (tmp_path / "sure").mkdir()
    assert all("in/a.db" in names for names in left(after([*made, *inner, *FOLDER]), tmp_path / "sure"))


def test_a_link_is_there_or_not_and_leads_to_all_of_it(tmp_path):
    made = [Step("link", (0, 0), data=b"versions/1", paths=("new.db",))]
    switched = [*made, *FOLDER, Step("link", (0, 0), data=b"versions/2", paths=("tmp.db",))]
    switched.append(Step("rename", (0, 0), paths=("tmp.db", "new.db")))
    found = set()
    for seed in range(60):
        place = tmp_path / str(seed)
        place.mkdir()
        after(switched).cut(place, random.Random(seed))
        found.add((str((place / "new.db").readlink()), (place / "tmp.db").is_symlink()))
    assert found == {("versions/1", False), ("versions/1", True), ("versions/2", False)}


def test_what_lies_in_a_folder_is_renamed_with_it(tmp_path):
    inner = (Step("open", (1, 8), paths=("in",)), Step("sync", (1, 8)))
    made = [Step("folder", (0, 0), paths=("in",)), *FOLDER, *steps("in/a.db"), Step("sync", (1, 1))]
    renamed = Step("rename", (0, 0), paths=("in", "out"))
    again = [Step("folder", (0, 0), paths=("in",)), *steps("in/b.db")]
    whole = left(after([*made, *inner, renamed, *FOLDER, *again]), tmp_path)
    assert all(names["out/a.db"] == b"A" * 1500 for names in whole)
    assert {"in/b.db" in names for names in whole} == {False, True}
    (tmp_path / "half").mkdir()
    half = left(after([*made, renamed, *FOLDER]), tmp_path / "half")  # the folder itself was never flushed
    assert {tuple(names) for names in half} == {(), ("out/a.db",)}
