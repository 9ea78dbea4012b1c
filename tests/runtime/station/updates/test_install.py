"""An update from beginning to end, and what is refused of it."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import pytest
from signing_cases import key_pair, signed, trust_key
from update_cases import bundle_of, changed, installed, untried, versions

from edge_runtime import open_bundle
from edge_runtime.bundle import trusted
from edge_runtime.bundle.bundle import bundle_sha256, read_bundle
from edge_runtime.bundle.trust import TrustPolicy
from edge_runtime.bundle.trusted import newest_version, user_store
from edge_runtime.errors import BundleError, ModelError, TrustError, UpdateError, UsageError, VerificationError
from edge_runtime.station.updates.install import Wishes
from edge_runtime.station.updates.state import read_state
from edge_runtime.station.updates.switching import confirm, go_back


@pytest.fixture(autouse=True)
def device(tmp_path, monkeypatch):
    """A device of its own: nothing trusted, nothing run."""
    monkeypatch.setattr(trusted, "SYSTEM_STORE", tmp_path / "etc" / "trusted.d")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    return versions(tmp_path)


def test_the_first_version_is_confirmed_and_the_next_is_on_probation(tmp_path, folder):
    first, second = bundle_of(tmp_path, "1"), bundle_of(tmp_path, "2")
    assert installed(folder, first) == 1
    assert folder.current.readlink() == Path("versions/1")
    assert read_state(folder.state).trial is None
    assert installed(folder, second) == 2
    trial = read_state(folder.state).trial
    assert (trial.version, trial.before, trial.sha256) == (2, 1, bundle_sha256(second))
    assert read_bundle(folder.current).sha256 == bundle_sha256(second)
    with open_bundle(folder.current) as engine:
        assert engine.bundle_sha256 == bundle_sha256(second)


def test_what_runs_already_is_no_update(tmp_path, folder, monkeypatch):
    untried(monkeypatch)
    first = bundle_of(tmp_path, "1")
    assert installed(folder, first) == installed(folder, first) == 1
    assert folder.numbers() == [1]


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda bundle: (bundle / "weights.bin").write_bytes(b""), BundleError),
        (lambda bundle: (bundle / "stranger").write_bytes(b""), BundleError),
        (lambda bundle: (bundle / "link").symlink_to("weights.bin"), BundleError),
        (lambda bundle: (bundle / "folder").mkdir(), BundleError),
        (lambda bundle: os.mkfifo(bundle / "pipe"), BundleError),
        (lambda bundle: (bundle / "manifest.json").unlink(), BundleError),
        (lambda bundle: changed(bundle, name="another"), UsageError),
    ],
)
def test_a_bundle_that_is_wrong_changes_nothing(tmp_path, folder, damage, error, monkeypatch):
    untried(monkeypatch)
    installed(folder, bundle_of(tmp_path, "1"))
    second = bundle_of(tmp_path, "2")
    damage(second)
    with pytest.raises(error):
        installed(folder, second)
    assert folder.number() == 1
    assert [path.name for path in (folder.root / "versions").iterdir()] == ["1"]
    assert read_state(folder.state).trial is None


def test_another_model_is_taken_where_that_is_meant(tmp_path, folder, monkeypatch):
    untried(monkeypatch)
    installed(folder, bundle_of(tmp_path, "1"))
    assert installed(folder, bundle_of(tmp_path, "2", name="another"), Wishes(other_model=True)) == 2


def test_a_version_that_answers_otherwise_here_is_refused(tmp_path, folder, monkeypatch):
    installed(folder, bundle_of(tmp_path, "1"))
    fake = tmp_path / "fake"
    for code, error, words in (
        ("sys.stderr.write('error: refuted\\n'); sys.exit(13)", VerificationError, "refuted"),
        ("import os; os.kill(os.getpid(), 11)", ModelError, "SIGSEGV"),
    ):
        fake.write_text(f"import sys; {code}")
        monkeypatch.setattr(
            "edge_runtime.station.updates.install.python_module", lambda *words: [shutil.which("python3"), str(fake)]
        )
        with pytest.raises(error, match=words):
            installed(folder, bundle_of(tmp_path, code[:3]))
        assert folder.number() == 1
        assert [path.name for path in (folder.root / "versions").iterdir()] == ["1"]


def test_two_updates_at_once_are_one_too_many(tmp_path, folder, monkeypatch):
    untried(monkeypatch)
    installed(folder, bundle_of(tmp_path, "1"))
    with folder.updating(), pytest.raises(UpdateError, match="under way"):
        installed(folder, bundle_of(tmp_path, "2"))


def test_old_versions_go_but_those_that_may_be_needed(tmp_path, folder, monkeypatch):
    untried(monkeypatch)
    for number in range(1, 6):
        installed(folder, bundle_of(tmp_path, str(number)), Wishes(keep=1))
        if number < 5:
            confirm(folder, "here", None) if number > 1 else None
    assert folder.number() == 5
    assert read_state(folder.state).trial.before == 4
    assert folder.numbers() == [2, 3, 4, 5]
    installed(folder, bundle_of(tmp_path, "6"), Wishes(keep=0))
    assert folder.numbers() == [4, 5, 6]
    assert read_state(folder.state).trial.before == 4  # 5 was never confirmed
    assert [ending.how for ending in read_state(folder.state).endings] == ["confirmed"] * 3 + ["returned"]


def test_a_number_is_never_given_twice(tmp_path, folder, monkeypatch):
    untried(monkeypatch)
    installed(folder, bundle_of(tmp_path, "1"))
    installed(folder, bundle_of(tmp_path, "2"))
    go_back(folder, None, "by hand")
    folder.remove(2)
    assert installed(folder, bundle_of(tmp_path, "3")) == 3


def test_an_archive_is_an_update_too(tmp_path, folder, monkeypatch):
    untried(monkeypatch)
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        archive.add(bundle_of(tmp_path, "1"), "b.edge")
    assert installed(folder, tmp_path / "b.tar.gz") == 1
    with pytest.raises(UsageError, match="cannot read"):
        installed(folder, tmp_path / "none.tar")
    with pytest.raises(UsageError, match="no plain file"):
        installed(folder, "/dev/null")


def test_only_what_a_trusted_key_signed_comes_in_and_nothing_older_than_what_runs(tmp_path, folder, monkeypatch):
    pytest.importorskip("cryptography")
    untried(monkeypatch)
    key = key_pair(tmp_path)
    trust_key(key, user_store())
    installed(folder, signed(bundle_of(tmp_path, "1"), key, 5))
    with pytest.raises(TrustError, match="unsigned"):
        installed(folder, bundle_of(tmp_path, "2"))
    older = signed(bundle_of(tmp_path, "3"), key, 4)
    with pytest.raises(TrustError, match="version 5 runs"):
        installed(folder, older)
    assert folder.number() == 1
    wishes = Wishes(TrustPolicy(allow_downgrade=True))
    assert installed(folder, older, wishes) == 2
    assert read_state(folder.state).trial.downgrade
    name = read_bundle(folder.current).manifest.model.name
    with open_bundle(folder.version(1)):
        pass
    assert newest_version(name) == 5
    confirm(folder, "by hand")
    assert newest_version(name) == 4  # which somebody allowed
    assert go_back(folder, None, "by hand") == 1
    assert newest_version(name) == 4
    open_bundle(folder.current).close()
    assert newest_version(name) == 5
    assert go_back(folder, 2, "by hand") == 2
    open_bundle(folder.current).close()
