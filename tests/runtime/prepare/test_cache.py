"""The cache: made once by whoever comes first, found by all, never half, never too large."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.files.folders import cache_root
from edge_runtime.prepare.cache import PreparedCache
from edge_runtime.prepare.key import cpu_identity, prepared_key

DAY = 24 * 3600


@pytest.fixture
def cache(tmp_path):
    cache = PreparedCache(tmp_path / "cache", cap=1 << 40)
    yield cache
    cache.close()


def unexpected():
    raise AssertionError("nobody else should have the lock")


def make(cache, key, size=10, last_use=None):
    with cache.making(key, unexpected), cache.new(key) as folder:
        (folder / "content").write_bytes(bytes(size))
    if last_use is not None:
        cache.use(key)
        cache.close()
        os.utime(cache.root / f".{key}.use", (last_use, last_use))


def folders(cache):
    return sorted(path.name for path in cache.root.iterdir() if path.is_dir())


class Other:
    """Another process with a cache of its own: runs lines of Python, each answered when it is done."""

    _SCRIPT = """
import contextlib, os, signal, sys
sys.path[:0] = {path!r}
from edge_runtime.prepare.cache import PreparedCache
cache = PreparedCache(__import__("pathlib").Path({root!r}), cap=1 << 40)
stack = contextlib.ExitStack()
for line in sys.stdin:
    print(eval(line), flush=True)
"""

    def __init__(self, root):
        script = self._SCRIPT.format(path=[entry for entry in sys.path if entry], root=str(root))
        self.process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        return self.process.stdout.readline().strip()

    def __call__(self, line):
        self.tell(line)
        return self.answer()

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def other(cache):
    other = Other(cache.root)
    yield other
    other.end()


def test_a_folder_is_found_when_it_is_complete_and_not_before(cache):
    assert cache.use("k") is None
    with cache.making("k", unexpected), cache.new("k") as folder:
        (folder / "one").write_text("1")
        assert cache.use("k") is None
    assert cache.use("k") == cache.folder("k") == cache.root / "k"
    assert (cache.root / "k" / "one").read_text() == "1"


def test_a_failure_while_making_leaves_nothing(cache):
    def fail():
        with cache.making("k", unexpected), cache.new("k") as folder:
            (folder / "one").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert cache.use("k") is None
    assert folders(cache) == []
    make(cache, "k")
    assert cache.use("k") is not None


def test_of_two_processes_one_makes_and_the_other_waits_and_finds(cache, other):
    assert other('stack.enter_context(cache.making("k", lambda: None))') == "None"
    assert other('(stack.enter_context(cache.new("k")) / "one").write_text("1")') == "1"
    waited = []

    def waiting():
        waited.append(cache.use("k"))
        other.tell("stack.close()")

    with cache.making("k", waiting):
        found = cache.use("k")
    assert waited == [None]
    assert found is not None
    assert (found / "one").read_text() == "1"
    assert other.answer() == "None"


def test_a_process_that_is_killed_while_it_makes_frees_the_lock_and_leaves_nothing_complete(cache, other):
    other('stack.enter_context(cache.making("k", lambda: None))')
    other('(stack.enter_context(cache.new("k")) / "one").write_text("1")')
    other.tell("os.kill(os.getpid(), signal.SIGKILL)")
    assert other.process.wait() == -signal.SIGKILL
    assert cache.use("k") is None
    make(cache, "k", 5)
    assert (cache.use("k") / "content").read_bytes() == bytes(5)
    assert not (cache.folder("k") / "one").exists()


def test_what_a_killed_process_left_is_cleared_away_after_a_day(cache, other):
    for key in ("old", "new"):
        other(f'stack.enter_context(cache.making("{key}", lambda: None))')
        other(f'(stack.enter_context(cache.new("{key}")) / "one").write_text("1")')
    other.tell("os.kill(os.getpid(), signal.SIGKILL)")
    other.process.wait()
    left = folders(cache)
    assert [re.sub(r"[0-9a-f]{8}", "X", name) for name in left] == [".new.X.tmp", ".old.X.tmp"]
    then = time.time() - 2 * DAY
    os.utime(cache.root / left[1], (then, then))
    cache.shrink(keep="")
    assert folders(cache) == left[:1]


def test_the_folders_that_were_not_used_for_longest_go_first(cache):
    for number, key in enumerate("abcd"):
        make(cache, key, 100, last_use=1000 + number)
    cache.cap = 250
    cache.shrink(keep="")
    assert folders(cache) == ["c", "d"]


def test_using_a_folder_makes_it_young(cache):
    for number, key in enumerate("ab"):
        make(cache, key, 100, last_use=1000 + number)
    cache.use("a")
    cache.close()
    cache.cap = 150
    cache.shrink(keep="")
    assert folders(cache) == ["a"]


def test_a_new_folder_stays_though_it_is_over_the_cap_alone(cache):
    make(cache, "a", 100, last_use=1000)
    cache.cap = 50
    make(cache, "b", 200)
    assert folders(cache) == ["b"]


def test_folders_in_use_stay(cache, other):
    for number, key in enumerate("abc"):
        make(cache, key, 100, last_use=1000 + number)
    cache.use("a")
    assert other('cache.use("b").name') == "b"
    cache.cap = 0
    cache.shrink(keep="")
    assert folders(cache) == ["a", "b"]
    assert other("cache.close()") == "None"
    cache.shrink(keep="")
    assert folders(cache) == ["a"]


def test_a_folder_that_vanishes_before_it_is_locked_is_not_found(cache, monkeypatch):
    make(cache, "k")
    real = cache._shared

    def slow(key):
        lock = real(key)
        shutil.rmtree(cache.folder(key))
        return lock

    monkeypatch.setattr(cache, "_shared", slow)
    assert cache.use("k") is None


def test_a_removal_that_is_interrupted_leaves_no_half_folder(cache, monkeypatch):
    make(cache, "k", 100, last_use=1000)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    cache.cap = 0
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.shrink(keep="")
    assert cache.use("k") is None
    (left,) = folders(cache)
    then = time.time() - 2 * DAY
    os.utime(cache.root / left, (then, then))
    cache.shrink(keep="")
    assert folders(cache) == []


def test_a_folder_that_cannot_be_removed_is_left(cache, monkeypatch):
    make(cache, "k", 100, last_use=1000)

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refused)
    cache.cap = 0
    cache.shrink(keep="")
    assert folders(cache) == ["k"]


def test_a_root_that_cannot_be_written_is_one_line_that_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("x")
    cache = PreparedCache(tmp_path / "file" / "inside", cap=0)
    assert cache.use("k") is None
    with pytest.raises(OutputError, match=r"set XDG_CACHE_HOME to a folder .* or use --no-cache") as refused:
        cache.making("k", unexpected).__enter__()
    assert "\n" not in str(refused.value)


def test_a_file_system_without_locks_is_one_line(cache, monkeypatch):
    def refused(*_):
        raise OSError(37, "No locks available")

    make(cache, "k")
    monkeypatch.setattr("fcntl.flock", refused)
    with pytest.raises(OutputError, match=r"cannot lock the cache .*No locks available"):
        cache.making("k", unexpected).__enter__()
    assert cache.use("k") is None


@pytest.mark.parametrize("locked_before", [True, False])
def test_a_cache_that_somebody_else_fills_can_be_read_if_its_lock_can(cache, monkeypatch, locked_before):
    make(cache, "k")
    if locked_before:
        cache.use("k")
        cache.close()
    real = Path.open

    def read_only(path, mode="r", *more, **named):
        if mode != "rb":
            raise PermissionError(13, "Permission denied")
        return real(path, mode, *more, **named)

    monkeypatch.setattr(Path, "open", read_only)
    monkeypatch.setattr(os, "utime", lambda *_: read_only(None, "w"))
    assert cache.use("k") == (cache.folder("k") if locked_before else None)


def test_a_folder_that_may_not_be_looked_into_is_not_found(cache, monkeypatch):
    def refused(_):
        raise PermissionError(13, "Permission denied")

    make(cache, "k")
    monkeypatch.setattr(Path, "is_dir", refused)
    assert cache.use("k") is None


@pytest.mark.parametrize("base", ["", "relative/cache", "."])
def test_a_relative_xdg_cache_home_is_ignored(monkeypatch, base):
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_root() == Path("/home/someone/.cache/edgeline/prepared")


def test_an_absolute_xdg_cache_home_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "edgeline" / "prepared"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(OutputError, match="set XDG_CACHE_HOME"):
        cache_root()


def test_without_a_cache_the_folder_is_removed_on_close(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    cache = PreparedCache(None)
    make(cache, "k")
    assert cache.use("k") is not None
    assert cache.root.parent == tmp_path
    cache.close()
    assert list(tmp_path.iterdir()) == []
    cache.close()


@pytest.mark.skipif(not os.access("/var/tmp", os.W_OK), reason="this system has no /var/tmp")
def test_without_a_cache_large_files_do_not_go_where_memory_may_be(monkeypatch):
    monkeypatch.delenv("TMPDIR", raising=False)
    cache = PreparedCache(None)
    try:
        assert cache.root.parent == Path("/var/tmp")
    finally:
        cache.close()


def test_without_a_place_for_temporary_files_it_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    with pytest.raises(OutputError, match="No space left on device; set TMPDIR"):
        PreparedCache(None)


def test_the_cap_can_be_set_in_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("EDGELINE_CACHE_MAX", raising=False)
    assert PreparedCache(tmp_path).cap == 8_000_000_000
    monkeypatch.setenv("EDGELINE_CACHE_MAX", "500 MB")
    assert PreparedCache(tmp_path).cap == 500_000_000
    monkeypatch.setenv("EDGELINE_CACHE_MAX", "plenty")
    with pytest.raises(UsageError, match=r"EDGELINE_CACHE_MAX .*'plenty'"):
        PreparedCache(tmp_path)


class Runtime:
    """As much of onnxruntime as the key depends on."""

    __version__ = "1.31.1"

    @staticmethod
    def get_available_providers():
        return ["CPUExecutionProvider"]


def test_the_key_depends_on_the_bundle_and_on_onnxruntime(monkeypatch):
    first = prepared_key("ab" * 32, Runtime)
    assert re.fullmatch("[0-9a-f]{20}", first)
    assert prepared_key("ab" * 32, Runtime) == first
    assert prepared_key("cd" * 32, Runtime) != first
    monkeypatch.setattr(Runtime, "__version__", "1.32.0")
    assert prepared_key("ab" * 32, Runtime) != first


def test_the_processor_is_told_apart_by_model_and_instruction_sets(tmp_path):
    (tmp_path / "proc").mkdir()

    def identity(text):
        (tmp_path / "proc/cpuinfo").write_text(text)
        return cpu_identity(tmp_path)

    board = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd\nCPU part\t: 0xd08\n\nFeatures\t: fp\n"
    assert identity(board) == identity(board.replace("108.00", "54.00"))
    assert identity(board) != identity(board.replace("fp asimd", "fp asimd asimddp"))
    (tmp_path / "proc/cpuinfo").unlink()
    assert cpu_identity(tmp_path)


def test_a_prepared_file_that_another_user_could_write_is_not_used_in_a_private_cache_either(cache):
    with cache.making("k", unexpected), cache.new("k") as folder:
        (folder / "whole.onnx").write_bytes(b"graph")
    assert cache.use("k") is not None
    assert cache.root.stat().st_mode & 0o777 == 0o700
    (cache.folder("k") / "whole.onnx").chmod(0o666)  # as it was written while the cache was open to all
    assert cache.use("k") is None
