"""The first contact of a bundle with native code: in a child, which it may end, and then it is refused."""

import os
import platform
import shutil

import numpy as np
import pytest
from hostile_bundles import hurting
from tiny_bundle import make_bundle

from edge_runtime import open_bundle
from edge_runtime.errors import BundleError, MemoryLimitError, RefusedError
from edge_runtime.ort.session import SessionOptions
from edge_runtime.prepare import budget, trial
from edge_runtime.prepare.request import call

CPU = SessionOptions("cpu", 1)
X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors give a number")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgeline"


@pytest.fixture
def tried(monkeypatch):
    """The modules of the children that were started."""
    modules = []

    def counted(module, *rest):
        modules.append(module.rpartition(".")[2])
        return call(module, *rest)

    monkeypatch.setattr(trial, "call", counted)
    return modules


@X86
@pytest.mark.parametrize(
    "how",
    [{}, {"use_cache": False}, {"prepare": True}, {"memory_limit": "400MB"}],
    ids=["plain", "without a cache", "prepared", "within a limit"],
)
def test_a_bundle_that_ends_the_process_it_is_run_in_is_refused(pristine, tmp_path, how):
    bundle = hurting(pristine, tmp_path / "hurting.edge", "divided")
    with pytest.raises(RefusedError, match=r"first time in a process of its own, and it divided by zero .*SIGFPE"):
        open_bundle(bundle, session=CPU, **how)


@pytest.mark.parametrize("how", [{}, {"prepare": True}], ids=["plain", "prepared"])
def test_zeros_without_end_are_told_with_what_they_need(pristine, tmp_path, how):
    bundle = hurting(pristine, tmp_path / "hurting.edge", "zeros")
    with pytest.raises(MemoryLimitError, match=r"too much memory, it may take .*(3300000|bad_alloc)") as raised:
        open_bundle(bundle, session=CPU, **how)
    assert "\n" not in str(raised.value)


def test_zeros_without_end_stay_within_a_limit(pristine, tmp_path):
    bundle = hurting(pristine, tmp_path / "hurting.edge", "zeros")
    with pytest.raises(MemoryLimitError):
        open_bundle(bundle, session=CPU, memory_limit="400MB")


def test_a_good_bundle_is_tried_once_and_that_is_remembered(pristine, cache, tried):
    for _ in range(2):
        open_bundle(pristine, session=CPU).close()
    assert tried == ["trial_child"]
    (note,) = (cache / "tried").iterdir()
    assert note.parent.stat().st_mode & 0o777 == 0o700
    note.parent.chmod(0o777)  # others may have written it
    open_bundle(pristine, session=CPU).close()
    assert tried == ["trial_child"] * 2


def test_without_a_cache_it_is_tried_at_each_start(pristine, tried):
    for _ in range(2):
        open_bundle(pristine, session=CPU, use_cache=False).close()
    assert tried == ["trial_child"] * 2


def test_what_was_prepared_was_tried_by_that(pristine, tried):
    for _ in range(2):
        open_bundle(pristine, session=CPU, prepare=True).close()
    assert tried == []


def test_another_bundle_is_tried_for_itself(pristine, tmp_path, tried):
    open_bundle(pristine, session=CPU).close()
    other = tmp_path / "other.edge"
    shutil.copytree(pristine, other)
    open_bundle(other, session=CPU).close()  # the same bytes
    assert tried == ["trial_child"]


def test_golden_samples_that_cannot_be_read_are_no_way_around_it(pristine, tmp_path, tried):
    bundle = hurting(pristine, tmp_path / "hurting.edge", "divided")
    from attacks import reseal

    (bundle / "golden.npz").write_bytes(b"none")
    reseal(bundle)
    if platform.machine() == "x86_64":
        with pytest.raises(BundleError, match="SIGFPE"):
            open_bundle(bundle, session=CPU)


def test_the_budget_grows_with_the_bundle_and_does_not_hinder_a_large_one(pristine):
    from edge_runtime.bundle.bundle import read_bundle

    manifest = read_bundle(pristine).manifest
    small, large = budget.budget_of(manifest), budget.budget_of(manifest, 64)
    assert 1 << 30 < small.memory_bytes < large.memory_bytes < 2 << 30
    assert 8 <= small.seconds < large.seconds < 30


@pytest.mark.skipif(os.name != "posix", reason="limits of a Unix")
def test_a_bundle_that_does_not_come_to_an_end_is_refused(pristine, tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "_LEAST_SECONDS", 1.0)
    monkeypatch.setenv("EDGELINE_ALLOW_OPERATORS", "Loop")
    bundle = hurting(pristine, tmp_path / "hurting.edge", "looped")
    with pytest.raises(RefusedError, match="it did not come to an end"):
        open_bundle(bundle, session=CPU)


def test_the_answers_are_those_of_before(pristine):
    image = np.zeros((20, 30, 3), np.uint8)
    with open_bundle(pristine, session=CPU) as engine:
        first = engine.run([image])[0]
    with open_bundle(pristine, session=CPU) as engine:
        assert engine.run([image])[0].verdict == first.verdict
