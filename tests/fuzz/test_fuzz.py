"""A few attacks of each kind at every run of the tests; hours of them: python tests/fuzz/run.py."""

from __future__ import annotations

import dataclasses

import pytest
from attacks import fresh, reseal
from fuzz_targets import PRISTINE, TARGETS

from edge_runtime.bundle.bundle import read_bundle

_COUNTS = {"bundles": 120, "exports": 25, "rot": 40}


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_an_attack_ends_in_an_answer_or_in_one_line(target, tmp_path):
    tried = TARGETS[target](tmp_path)
    for seed in range(_COUNTS[target]):
        tried(seed)  # anything but an error of ours is a bug: `seed` makes it again


def test_what_is_sealed_again_as_it_was_is_the_bundle_that_it_was(tmp_path):
    bundle = fresh(PRISTINE, tmp_path / "b.edge")
    reseal(bundle)
    found, before = read_bundle(bundle).manifest, read_bundle(PRISTINE).manifest
    assert dataclasses.replace(found, digest=before.digest) == before
