"""Locks of what devices run, held against pyproject.toml."""

from __future__ import annotations

import pytest
from places import ROOT

from edge_runtime.errors import DataError
from edge_tools.supply.__main__ import missing_licences
from edge_tools.supply.pins import LOCKS, Lock, faults, inputs_of, project_of, read_lock

HASH = "--hash=sha256:" + "0a" * 32
PROJECT = {
    "requires-python": ">=3.10",
    "dependencies": ["click>=8.1", "tomli>=2; python_version < '3.11'"],
    "optional-dependencies": {"cpu": ["onnxruntime>=1.23.0"], "other": ["x"]},
}
LOCK = Lock("lock.txt", ("cpu",))
GOOD = f"""# Of {inputs_of(PROJECT, ("cpu",))}
click==8.3.1 \\
    {HASH} \\
    {HASH.replace("0a", "0b")}
onnxruntime==1.23.2 ; python_full_version < '3.11' {HASH}
onnxruntime==1.32.0 ; python_full_version >= '3.11' {HASH}
tomli==2.3.0 ; python_full_version < '3.11' {HASH}
"""


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.file)
def test_the_locks_are_those_of_this_checkout(lock):
    text = (ROOT / lock.file).read_text(encoding="utf-8")
    assert list(faults(text, lock, project_of(ROOT))) == []
    assert len(read_lock(text)) > 20


def test_every_package_has_its_licence_told():
    assert missing_licences() == []


def test_locks_name_no_place_that_packages_come_from():
    for lock in LOCKS:
        assert "://" not in (ROOT / lock.file).read_text(encoding="utf-8")


def test_a_lock_that_fits_has_no_faults():
    assert list(faults(GOOD, LOCK, PROJECT)) == []
    assert [len(pin.hashes) for pin in read_lock(GOOD)] == [2, 1, 1, 1]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("click==8.3.1", "click==8.0.0", "has 8.0.0 for 'click>=8.1'"),
        ("click==8.3.1", "clack==8.3.1", "has none for 'click>=8.1'"),
        ("onnxruntime==1.32.0 ; python_full_version >= '3.11'", "onnxruntime==1.32.0", "two versions of one package"),
        ("tomli==2.3.0 ; python_full_version < '3.11'", "tomli==1.0.0", 'has 1.0.0 for "tomli'),
        ("# Of ", "# Of another ", ""),
        ("# Of " + inputs_of(PROJECT, ("cpu",)), "", "another pyproject.toml"),
        ("0b0b", "xyz", "expected 64 hexadecimal digits"),
    ],
)
def test_a_lock_that_does_not_fit_is_told(old, new, words):
    found = list(faults(GOOD.replace(old, new), LOCK, PROJECT))
    assert not words or any(words in fault for fault in found)
    assert bool(found) == bool(words)


def test_what_a_lock_was_made_of_is_its_extras_and_no_others():
    changed = {**PROJECT, "optional-dependencies": {"cpu": ["onnxruntime>=1.23.0"], "other": ["y"]}}
    assert inputs_of(PROJECT, ("cpu",)) == inputs_of(changed, ("cpu",))
    assert inputs_of(PROJECT, ("cpu", "other")) != inputs_of(changed, ("cpu", "other"))


@pytest.mark.parametrize("line", ["click>=8.1 " + HASH, "click==8.3.1", "click " + HASH])
def test_a_line_without_a_version_or_a_hash_is_no_pin(line):
    with pytest.raises(DataError, match="expected NAME==VERSION with hashes"):
        read_lock(line)
