"""Opening a bundle: with and without a limit, a cache, and damage to either."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import make_bundle
from tiny_models import samples

from edge_devices.process_memory import Memory
from edge_devices.profile import ProviderChoice
from edge_runtime import open_bundle
from edge_runtime.blocks.measured import Measured
from edge_runtime.blocks.prepared import (
    PREPARED,
    WHOLE,
    PreparedWhole,
    StoredWeights,
    read_json,
    write_json,
)
from edge_runtime.bundle.bundle import Bundle, read_bundle
from edge_runtime.errors import BundleError, EngineError, UsageError
from edge_runtime.opening import choice, sound
from edge_runtime.opening import options as options_module
from edge_runtime.opening.choice import open_runner
from edge_runtime.opening.options import OpenOptions
from edge_runtime.ort.session import SessionOptions
from edge_runtime.prepare import make, plans
from edge_runtime.prepare.make import prepare

LIMIT = "2GB"
WITHOUT = "running without the cache of prepared models"
SIZE = Memory(300 << 20, 300 << 20, 300 << 20)  # of this process, as plans are made: always the same
FEEDS = {"images": samples(2)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A bundle and its prepared folder, in a cache of their own."""
    folder = tmp_path_factory.mktemp("opening")
    bundle = make_bundle(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        prepared = prepare(bundle, 2, 1)
        patch.setattr(plans, "memory", lambda: SIZE)
        opened(bundle, memory_limit=LIMIT).close()
    return bundle, prepared, folder / "cache"


@pytest.fixture
def bundle(made, tmp_path, monkeypatch):
    """The bundle, with a copy of the cache that a test may damage; no process is started to prepare."""
    shutil.copytree(made[2], tmp_path / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def unwanted(*_args):
        raise UsageError("a preparing process was started")

    monkeypatch.setattr(make, "call", unwanted)
    monkeypatch.setattr(plans, "memory", lambda: SIZE)
    return made[0]


@pytest.fixture
def prepared(made, tmp_path, bundle):
    return tmp_path / "cache" / made[1].relative_to(made[2])


def opened(bundle, **options):
    return open_bundle(bundle, device="cpu", threads=1, batch=2, **options)


def answer(bundle, **options):
    with opened(bundle, **options) as engine:
        return engine.infer(FEEDS)["logits"]


@pytest.fixture
def hashed(monkeypatch):
    """Count the complete checks of bundles."""
    counted = []
    for name in ("check_hashes", "check_weights"):
        real = getattr(Bundle, name)
        monkeypatch.setattr(Bundle, name, lambda found, real=real: (counted.append(found.path), real(found))[1])
    return counted


@pytest.mark.parametrize("limit", [LIMIT, "2000 MB", 2_000_000_000])
def test_a_limit_may_be_text_and_gives_the_same_answer(bundle, limit):
    expected = answer(bundle, use_cache=False)
    with opened(bundle, memory_limit=limit) as engine:
        assert engine.plan.limit_bytes == 2_000_000_000
        assert engine.plan.peak_bytes <= 2_000_000_000
        difference = float(np.abs(engine.infer(FEEDS)["logits"] - expected).max())
    assert difference < 1e-4, f"the largest difference is {difference}"


@pytest.mark.parametrize("limit", ["much", "", "-5MB", "5 bananas"])
def test_a_limit_that_is_no_size_is_refused(bundle, limit):
    with pytest.raises(UsageError, match="expected a size such as 160MB"):
        opened(bundle, memory_limit=limit)


def test_without_a_limit_the_plan_is_the_whole_graph(bundle):
    with opened(bundle) as engine:
        assert engine.plan.whole
        assert engine.plan.limit_bytes is None


@pytest.mark.parametrize("batch", [0, -3])
def test_a_batch_of_nothing_is_refused(bundle, batch):
    with pytest.raises(UsageError, match="batch must be at least 1"):
        open_bundle(bundle, batch=batch)


def test_a_limit_with_a_gpu_is_refused(bundle, monkeypatch):
    monkeypatch.setattr(options_module, "choose", lambda *_args: (ProviderChoice("CUDAExecutionProvider"),))
    with pytest.raises(UsageError, match="a memory limit is kept on the CPU only"):
        opened(bundle, memory_limit=LIMIT)


SMALLEST = """
import json, sys
from edge_runtime import open_bundle
from edge_devices.process_memory import Memory
from edge_runtime.errors import MemoryLimitError
found = []
for limit in map(int, sys.argv[2:]):
    try:
        engine = open_bundle(sys.argv[1], device="cpu", threads=1, batch=2, memory_limit=limit)
        found.append(engine.plan.peak_bytes)
        engine.close()
    except MemoryLimitError as error:
        found.append([str(error), error.smallest_bytes])
print(json.dumps(found))
"""


def test_a_limit_that_is_too_small_names_the_smallest_and_that_one_is_met(made):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "XDG_CACHE_HOME": str(made[2])}

    def fresh(limit):
        command = [sys.executable, "-c", SMALLEST, str(made[0]), str(limit)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        return json.loads(done.stdout)[0]

    message, smallest = fresh(10_000_000)
    assert "\n" not in message
    assert "needs at least" in message
    # A process's own size differs by a page or two from start to start, and the plan counts in whole MiB.
    peak = fresh(smallest + (1 << 20))
    assert peak <= smallest + (1 << 20)


def test_a_start_from_the_cache_checks_no_hashes_and_prepares_nothing(bundle, hashed):
    answer(bundle)
    answer(bundle, memory_limit=LIMIT)
    assert hashed == []


def test_without_the_cache_every_start_checks(bundle, hashed):
    answer(bundle, use_cache=False)
    answer(bundle, use_cache=False)
    assert len(hashed) == 2


def test_a_copy_of_a_prepared_bundle_is_checked_once(bundle, hashed, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "copy.edge")
    for _ in range(3):
        answer(copy, memory_limit=LIMIT)
    assert len(hashed) == 1


@pytest.mark.parametrize("name", ["weights.bin", "model.onnx", "block-01.onnx", "golden.npz"])
@pytest.mark.parametrize("limit", [None, LIMIT])
def test_a_bundle_that_was_changed_is_found_although_it_is_prepared(bundle, tmp_path, name, limit):
    copy = shutil.copytree(bundle, tmp_path / "copy.edge")
    answer(copy, memory_limit=limit)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        opened(copy, memory_limit=limit)


@pytest.mark.parametrize("limit", [None, LIMIT])
def test_without_the_cache_nothing_is_left_behind(made, tmp_path, monkeypatch, limit):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(plans, "memory", lambda: SIZE)

    def copy(_module, request, *_allowed):
        shutil.copytree(made[1], request.folder, dirs_exist_ok=True)
        return 0

    monkeypatch.setattr(make, "call", copy)  # in place of preparing once more
    engine = opened(made[0], memory_limit=limit, use_cache=False)
    assert bool(list((tmp_path / "tmp").glob("edgeline-*"))) == (limit is not None)
    engine.infer(FEEDS)
    engine.close()
    # onnxruntime itself may write a file `.ses` there when it is imported.
    assert [path.name for path in (tmp_path / "tmp").iterdir() if path.name != ".ses"] == []
    assert not (tmp_path / "cache" / "edgeline").exists()


def homeless(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "")

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_user_without_a_home_runs_without_a_limit(bundle, monkeypatch, use_cache):
    homeless(monkeypatch)
    assert answer(bundle, use_cache=use_cache, prepare=True).shape == (2, 5)


def test_a_user_without_a_home_is_told_and_a_limit_is_kept_from_a_temporary_folder(bundle, monkeypatch, caplog):
    homeless(monkeypatch)
    with pytest.raises(UsageError, match="a preparing process was started"):
        opened(bundle, memory_limit=LIMIT)
    assert [record.message.partition(": ")[0] for record in caplog.records] == [WITHOUT]


def test_a_cache_that_cannot_be_written_does_not_stop_a_run_without_a_limit(bundle, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert answer(bundle, prepare=True).shape == (2, 5)
    assert [record.message.partition(": ")[0] for record in caplog.records] == [WITHOUT]


def test_a_cache_that_cannot_be_written_is_a_temporary_folder_within_a_limit(bundle, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="a preparing process was started"):
        opened(bundle, memory_limit=LIMIT)
    assert [record.message.partition(": ")[0] for record in caplog.records] == [WITHOUT]


@pytest.mark.parametrize("name", ["whole.onnx", "whole.bin", WHOLE])
def test_a_damaged_whole_graph_in_the_cache_does_not_stop_a_run_without_a_limit(bundle, prepared, name):
    expected = answer(bundle, use_cache=False)
    (prepared / name).write_bytes(b"")
    np.testing.assert_allclose(answer(bundle), expected, atol=1e-4)


@pytest.fixture
def flipped(bundle, prepared):
    """A byte of the whole graph's weights is another one; the folder says what they were."""
    path = prepared / "whole.bin"
    data = bytearray(path.read_bytes())
    weights = StoredWeights("whole.bin", len(data), zlib.crc32(data))
    write_json(PreparedWhole(1, "whole.onnx", weights), prepared / WHOLE)
    data[len(data) // 2 + 3] ^= 0x40
    path.write_bytes(data)
    return bundle


def test_a_flipped_byte_of_the_whole_graph_gives_no_wrong_answer_without_a_limit(flipped):
    np.testing.assert_allclose(answer(flipped), answer(flipped, use_cache=False), atol=1e-4)


def test_a_flipped_byte_of_the_whole_graph_is_an_error_that_names_the_file_within_a_limit(flipped, prepared):
    # Whatever this machine was doing when it measured: here the whole graph is the fastest.
    path = prepared / "measured-t1-b2.json"
    measured = read_json(Measured, path)
    whole = measured.measurements.whole
    fastest = replace(whole, timings=tuple(replace(timing, ms=1e-6) for timing in whole.timings))
    write_json(replace(measured, measurements=replace(measured.measurements, whole=fastest)), path)
    with pytest.raises(EngineError, match=r"whole\.bin is damaged"):
        opened(flipped, memory_limit=LIMIT)


@pytest.mark.parametrize("name", [PREPARED, "measured-t1-b2.json"])
def test_damaged_files_are_prepared_again(bundle, prepared, name):
    (prepared / name).write_text("{")
    with pytest.raises(UsageError, match="a preparing process was started"):
        opened(bundle, memory_limit=LIMIT)


def test_a_graph_that_rots_is_an_error_that_names_it_within_a_limit(bundle, prepared):
    for path in prepared.glob("*.onnx"):  # blocks or the whole, as this machine's measurements have it
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(EngineError, match=r"\.onnx is damaged \(CRC-32\)"):
        opened(bundle, memory_limit=LIMIT)


def test_a_graph_that_rots_is_said_and_not_used_without_a_limit(bundle, prepared, caplog):
    expected = answer(bundle, use_cache=False)
    data = bytearray((prepared / "whole.onnx").read_bytes())
    data[-9] ^= 1
    (prepared / "whole.onnx").write_bytes(data)
    np.testing.assert_allclose(answer(bundle), expected, atol=1e-4)
    assert "are damaged and not used: they are made again at the next start" in caplog.text
    assert not (prepared / WHOLE).exists()


def test_weights_that_rot_are_found_though_size_and_time_are_as_before(bundle, tmp_path):
    rotten = Path(shutil.copytree(bundle, tmp_path / "rotten.edge"))
    before = (rotten / "weights.bin").stat()
    weights = bytearray((rotten / "weights.bin").read_bytes())
    weights[200] ^= 1
    (rotten / "weights.bin").write_bytes(weights)
    os.utime(rotten / "weights.bin", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(BundleError, match=r"weights\.bin is damaged"):
        answer(rotten, use_cache=False)


def test_weights_that_rot_where_they_are_not_used_change_no_answer(bundle, tmp_path, monkeypatch):
    rotten = Path(shutil.copytree(bundle, tmp_path / "rotten.edge"))
    expected = answer(rotten)
    stamps = read_bundle(rotten).file_stamps()
    weights = bytearray((rotten / "weights.bin").read_bytes())
    weights[200] ^= 1
    (rotten / "weights.bin").write_bytes(weights)
    monkeypatch.setattr(Bundle, "file_stamps", lambda _bundle: stamps)  # a disk that rots writes no times
    np.testing.assert_array_equal(answer(rotten), expected)


@pytest.mark.parametrize("damaged", [False, True])
def test_large_weights_are_read_again_beside_the_first_run(bundle, prepared, monkeypatch, damaged, caplog):
    expected = answer(bundle, use_cache=False)
    monkeypatch.setattr(sound, "_AT_ONCE", 0)
    if damaged:
        weights = bytearray((prepared / "whole.bin").read_bytes())
        weights[100] ^= 64
        (prepared / "whole.bin").write_bytes(weights)
    for _ in range(2):
        with opened(bundle, use_cache=True) as engine:
            np.testing.assert_allclose(engine.infer(FEEDS)["logits"], expected, atol=1e-4)
            np.testing.assert_allclose(engine.infer(FEEDS)["logits"], expected, atol=1e-4)
    assert ("are damaged and not used" in caplog.text) == damaged


def test_no_answer_comes_from_a_bundle_s_large_weights_that_are_damaged(bundle, tmp_path, monkeypatch):
    rotten = Path(shutil.copytree(bundle, tmp_path / "rotten.edge"))
    weights = bytearray((rotten / "weights.bin").read_bytes())
    weights[200] ^= 1
    (rotten / "weights.bin").write_bytes(weights)
    monkeypatch.setattr(sound, "_AT_ONCE", 0)
    with opened(rotten, use_cache=False) as engine:
        for _ in range(2):
            with pytest.raises(BundleError, match=r"weights\.bin is damaged"):
                engine.infer(FEEDS)


def test_preparing_is_told_and_the_next_start_says_nothing(made, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "fresh"))
    steps = []
    opened(made[0], prepare=True, progress=lambda *step: steps.append(step)).close()
    assert ("the whole graph", 0, 1) in steps
    steps.clear()
    opened(made[0], prepare=True, progress=lambda *step: steps.append(step)).close()
    assert steps == []


def test_settings_that_cannot_be_used_let_go_of_the_model_and_the_cache(bundle, monkeypatch):
    closed = []
    real = choice.PreparedCache.close
    monkeypatch.setattr(choice.PreparedCache, "close", lambda cache: (closed.append(cache), real(cache)))
    with pytest.raises(UsageError):
        opened(bundle, memory_limit=LIMIT, confidence=7.0)
    assert len(closed) == 1


def test_closing_lets_go_of_the_prepared_folder(bundle):
    options = OpenOptions(SessionOptions("cpu", 1), memory_limit=2_000_000_000, batch=2)
    opened = open_runner(bundle, options)
    (lock,) = opened.cache._in_use.values()
    opened.close()
    assert lock.closed
