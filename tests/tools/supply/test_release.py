"""What goes with a release."""

from __future__ import annotations

import importlib.util
import json

import pytest
from places import ROOT

from edge_tools.supply.pins import LOCKS, read_lock
from edge_tools.supply.release import bill_of_materials, read_audit


@pytest.mark.skipif(importlib.util.find_spec("cyclonedx_py") is None, reason="comes with the extra supply")
def test_a_bill_of_materials_has_every_package_of_the_lock_with_its_hashes(tmp_path):
    bill_of_materials(ROOT, LOCKS[0], tmp_path / "bill.json")
    found = json.loads((tmp_path / "bill.json").read_bytes())
    assert found["bomFormat"] == "CycloneDX"
    pins = read_lock((ROOT / LOCKS[0].file).read_text())
    assert {(one["name"].lower(), one["version"]) for one in found["components"]} == {
        (pin.name, pin.version) for pin in pins
    }
    hashes = {
        digest["content"]
        for one in found["components"]
        for reference in one["externalReferences"]
        for digest in reference["hashes"]
    }
    assert hashes == set().union(*(pin.hashes for pin in pins))


def answer(*packages):
    return json.dumps({"dependencies": packages, "fixes": []})


def test_an_audit_tells_holes_or_why_there_is_none():
    sound = {"name": "click", "version": "8.3.1", "vulns": []}
    holed = {"name": "pyyaml", "version": "5.3", "vulns": [{"id": "PYSEC-2021-142"}]}
    skipped = {"name": "numpy", "skip_reason": "Dependency not found"}
    assert read_audit(answer(sound), "") == ("", [])
    assert read_audit(answer(sound, holed), "Found 1 known vulnerability") == ("", ["pyyaml 5.3: PYSEC-2021-142"])
    assert read_audit(answer(sound, skipped), "") == ("1 of 2 packages: Dependency not found", [])
    assert read_audit("", "ConnectionError:\n no route") == ("ConnectionError: no route", [])
    assert read_audit("", "") == ("pip-audit gave no answer", [])
