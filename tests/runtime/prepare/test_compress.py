"""Compressed weights: kept only where unpacking them beats reading them."""

import importlib.util
import zlib

import numpy as np
import pytest

from edge_runtime.blocks.prepared import PreparedBlock, StoredWeights
from edge_runtime.blocks.storage import FileStorage, room
from edge_runtime.plan.measurements import Speeds
from edge_runtime.prepare.compress import Compressed, compress

# So slow, or so fast, that no measurement of a time can matter.
SLOW = Speeds(1.0, 1e15, 1)
FAST = Speeds(1e15, 1e15, 1)
SIZE = 3_000_001


@pytest.fixture
def zstandard():
    return pytest.importorskip("zstandard", reason="zstandard is not installed")


def block(folder, data):
    (folder / "block-00.bin").write_bytes(data)
    weights = StoredWeights("block-00.bin", len(data), zlib.crc32(data))
    return PreparedBlock("block-00.onnx", "block-00.onnx", weights, ("x",), ("y",))


def weights(size=SIZE, levels=16):
    return np.random.default_rng(0).integers(0, levels, size, np.uint8).tobytes()


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("size", [SIZE, 5000, 1])
def test_on_slow_storage_the_compressed_file_is_kept_and_holds_the_same(tmp_path, zstandard, size):
    data = bytes(size) if size < 100 else weights(size)
    found = compress(block(tmp_path, data), tmp_path, SLOW)
    if size == 1:  # nothing is saved
        assert found == Compressed(block(tmp_path, data))
        return
    stored = found.block.weights
    assert files(tmp_path) == ["block-00.bin", "block-00.bin.zst"]
    assert found.bytes == stored.packed_bytes == (tmp_path / stored.packed).stat().st_size < 0.7 * size
    assert found.ms > 0
    into = np.zeros(room(size), np.uint8)
    FileStorage(tmp_path).unpack(stored, into)
    assert into[:size].tobytes() == data


def test_on_fast_storage_nothing_is_kept(tmp_path, zstandard):
    plain = block(tmp_path, weights())
    assert compress(plain, tmp_path, FAST) == Compressed(plain)
    assert files(tmp_path) == ["block-00.bin"]


def test_weights_that_do_not_get_smaller_are_left_alone(tmp_path, zstandard):
    plain = block(tmp_path, weights(levels=256))
    assert compress(plain, tmp_path, SLOW) == Compressed(plain)
    assert files(tmp_path) == ["block-00.bin"]


def test_a_block_without_weights_is_left_alone(tmp_path):
    plain = PreparedBlock("block-00.onnx", "block-00.onnx", None, ("x",), ("y",))
    assert compress(plain, tmp_path, SLOW) == Compressed(plain)
    empty = block(tmp_path, b"")
    assert compress(empty, tmp_path, SLOW) == Compressed(empty)


def test_a_file_that_is_there_is_measured_again_and_not_written_again(tmp_path, zstandard):
    first = compress(block(tmp_path, weights()), tmp_path, SLOW)
    before = (tmp_path / "block-00.bin.zst").stat().st_mtime_ns
    again = compress(first.block, tmp_path, SLOW)
    assert (again.block, again.bytes) == (first.block, first.bytes)
    assert (tmp_path / "block-00.bin.zst").stat().st_mtime_ns == before


def test_a_file_that_older_measurements_rely_on_stays_when_it_no_longer_pays(tmp_path, zstandard):
    first = compress(block(tmp_path, weights()), tmp_path, SLOW)
    assert compress(first.block, tmp_path, FAST) == Compressed(first.block)
    assert files(tmp_path) == ["block-00.bin", "block-00.bin.zst"]


def test_without_zstandard_nothing_is_compressed(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    plain = block(tmp_path, weights(5000))
    assert compress(plain, tmp_path, SLOW) == Compressed(plain)
    assert files(tmp_path) == ["block-00.bin"]
