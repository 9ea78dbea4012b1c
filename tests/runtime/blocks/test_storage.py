"""Weight files: whole, short, damaged, compressed, on storage with and without direct reads."""

import errno
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.blocks.arena import Arena
from edge_runtime.blocks.prepared import StoredWeights
from edge_runtime.blocks.storage import FileStorage, import_zstandard, room
from edge_runtime.errors import DependencyError, EngineError

SIZES = [1, 4095, 4096, 4097, 10_000, 1_300_001]
needs_direct = pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="this system has no direct reads")


@pytest.fixture
def zstandard():
    return pytest.importorskip("zstandard", reason="zstandard is not installed")


def content(size, seed=0):
    return np.random.default_rng(seed).integers(0, 40, size, np.uint8).tobytes()


def stored(folder, data, file="w.bin", packed=None):
    """Write weights, and compressed bytes for them where given."""
    (folder / file).write_bytes(data)
    if packed is None:
        return StoredWeights(file, len(data), zlib.crc32(data))
    (folder / f"{file}.zst").write_bytes(packed)
    return StoredWeights(file, len(data), zlib.crc32(data), f"{file}.zst", len(packed))


def buffer(size, fill=7):
    """Room for `size` bytes in an arena, and a page behind it that nobody may touch."""
    whole = Arena(room(size) + 4096).view(0, "uint8", (room(size) + 4096,)).view(np.uint8)
    whole[:] = fill
    return whole[: room(size)], whole[room(size) :]


def in_memory():
    folder = Path("/dev/shm")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        pytest.skip("this system has no /dev/shm")
    return tempfile.TemporaryDirectory(dir=folder)


@given(st.integers(0, 1 << 40))
def test_room_is_whole_units_and_no_more_than_needed(size):
    assert room(size) % 4096 == 0
    assert 0 <= room(size) - size < 4096


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_read_whole_and_nothing_behind_it_is_touched(tmp_path, size, direct):
    data = content(size)
    into, behind = buffer(size)
    FileStorage(tmp_path, direct).read(stored(tmp_path, data), into)
    assert into[:size].tobytes() == data
    assert (behind == 7).all()


@pytest.mark.parametrize("size", SIZES)
def test_files_in_memory_are_read_where_direct_reads_may_be_refused(size):
    data = content(size)
    with in_memory() as name:
        into, _ = buffer(size)
        FileStorage(Path(name), direct=True).read(stored(Path(name), data), into)
    assert into[:size].tobytes() == data


@needs_direct
def test_without_direct_reads_at_opening_files_are_read_as_usual(tmp_path, monkeypatch):
    weights = stored(tmp_path, content(10_000))
    real, flags_seen = os.open, []

    def refusing(path, flags, *more):
        flags_seen.append(bool(flags & os.O_DIRECT))
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", refusing)
    storage, (into, _) = FileStorage(tmp_path, direct=True), buffer(10_000)
    for _ in range(2):
        storage.read(weights, into)
    assert flags_seen == [True, False, False]
    assert into[:10_000].tobytes() == content(10_000)


@needs_direct
def test_without_direct_reads_at_reading_files_are_read_as_usual(tmp_path, monkeypatch):
    weights = stored(tmp_path, content(10_000))
    real, calls = os.preadv, []

    def refusing(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(*arguments)

    monkeypatch.setattr(os, "preadv", refusing)
    into, _ = buffer(10_000)
    FileStorage(tmp_path, direct=True).read(weights, into)
    assert into[:10_000].tobytes() == content(10_000)


@needs_direct
def test_a_file_that_is_missing_for_a_moment_does_not_end_direct_reads(tmp_path):
    storage, (into, _) = FileStorage(tmp_path, direct=True), buffer(5000)
    with pytest.raises(EngineError, match="No such file"):
        storage.read(StoredWeights("w.bin", 5000, 0), into)
    assert storage._direct
    storage.read(stored(tmp_path, content(5000)), into)
    assert into[:5000].tobytes() == content(5000)


@pytest.mark.parametrize(("direct", "most"), [(False, 1000), (True, 4096)])
def test_reads_that_come_in_pieces_are_put_together(tmp_path, monkeypatch, direct, most):
    weights = stored(tmp_path, content(10_001))
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, offset: real(file, [buffers[0][:most]], offset))
    into, _ = buffer(10_001)
    FileStorage(tmp_path, direct).read(weights, into)
    assert into[:10_001].tobytes() == content(10_001)


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("length", [0, 1, 4096, 5000, 9999])
def test_a_short_file_says_where_it_ends(tmp_path, length, direct):
    weights = stored(tmp_path, content(10_000))
    os.truncate(tmp_path / "w.bin", length)
    with pytest.raises(EngineError, match=rf"w\.bin ends after {length} bytes of 10000; .* prepare again") as raised:
        FileStorage(tmp_path, direct).read(weights, buffer(10_000)[0])
    assert "\n" not in str(raised.value)


def test_a_file_that_became_longer_is_read_as_far_as_it_is_known(tmp_path):
    data = content(5000)
    weights = stored(tmp_path, data)
    (tmp_path / "w.bin").write_bytes(data + b"more" * 5000)
    for direct in (False, True):
        into, behind = buffer(5000)
        FileStorage(tmp_path, direct).read(weights, into)
        assert into[:5000].tobytes() == data
        assert (behind == 7).all()


@pytest.mark.parametrize("direct", [False, True])
def test_a_missing_file_or_a_folder_in_its_place_is_one_line(tmp_path, direct):
    (tmp_path / "folder").mkdir()
    for name, words in (("none", "No such file"), ("folder", "Is a directory")):
        with pytest.raises(EngineError, match=f"cannot read .*{name}: {words}") as raised:
            FileStorage(tmp_path, direct).read(StoredWeights(name, 10, 0), buffer(10)[0])
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("direct", [False, True])
def test_a_card_that_fails_while_it_is_read_is_one_line(tmp_path, monkeypatch, direct):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    weights = stored(tmp_path, content(5000))
    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(EngineError, match=r"cannot read .*w\.bin: Input/output error; check the storage"):
        FileStorage(tmp_path, direct).read(weights, buffer(5000)[0])


def test_no_file_stays_open(tmp_path):
    weights = stored(tmp_path, content(5000))
    open_files = Path("/proc/self/fd")
    if not open_files.is_dir():
        pytest.skip("this system does not list open files")
    before = len(list(open_files.iterdir()))
    storage = FileStorage(tmp_path)
    storage.read(weights, buffer(5000)[0])
    os.truncate(tmp_path / "w.bin", 10)
    with pytest.raises(EngineError):
        storage.read(weights, buffer(5000)[0])
    assert len(list(open_files.iterdir())) == before


@given(st.integers(0, 4999), st.integers(1, 255))
def test_any_changed_byte_is_found_when_a_file_is_read_first(tmp_path, position, change):
    data = bytearray(content(5000))
    weights = stored(tmp_path, bytes(data))
    data[position] ^= change
    (tmp_path / "w.bin").write_bytes(data)
    storage = FileStorage(tmp_path)
    for _ in range(2):  # and found again until it is repaired
        with pytest.raises(EngineError, match=r"w\.bin is damaged \(CRC-32\)"):
            storage.read(weights, buffer(5000)[0])
    (tmp_path / "w.bin").write_bytes(content(5000))
    storage.read(weights, buffer(5000)[0])


def test_a_file_is_checked_once_each(tmp_path):
    first, second = stored(tmp_path, content(5000), "a.bin"), stored(tmp_path, content(5000, 1), "b.bin")
    storage = FileStorage(tmp_path)
    storage.read(first, buffer(5000)[0])
    (tmp_path / "a.bin").write_bytes(bytes(5000))
    (tmp_path / "b.bin").write_bytes(bytes(5000))
    storage.read(first, buffer(5000)[0])  # by design: checking every time costs as much as reading
    with pytest.raises(EngineError, match=r"b\.bin is damaged"):
        storage.read(second, buffer(5000)[0])


@pytest.mark.parametrize("size", [*SIZES, 3_000_000])
def test_a_compressed_file_gives_the_same_bytes(tmp_path, zstandard, size):
    data = content(size)
    weights = stored(tmp_path, data, packed=zstandard.compress(data))
    (tmp_path / "w.bin").unlink()
    into, behind = buffer(size)
    storage = FileStorage(tmp_path, direct=True)
    for _ in range(2):
        into[:] = 7
        storage.unpack(weights, into)
        assert into[:size].tobytes() == data
    assert (behind == 7).all()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda packed, make: packed[: len(packed) // 2], "unpacks to .* bytes of 300000"),
        (lambda packed, make: b"", "unpacks to 0 bytes of 300000"),
        (lambda packed, make: b"not zstd" * 100, "cannot read"),
        (lambda packed, make: make(content(299_999)), "unpacks to 299999 bytes of 300000"),
        (lambda packed, make: make(content(300_000) + b"more"), "unpacks to more than 300000 bytes"),
        (lambda packed, make: make(content(300_000, 1)), r"w\.bin\.zst is damaged \(CRC-32\)"),
    ],
    ids=["cut", "empty", "garbage", "too short", "too long", "another content"],
)
def test_a_damaged_compressed_file_is_one_line(tmp_path, zstandard, damage, words):
    data = content(300_000)
    weights = stored(tmp_path, data, packed=damage(zstandard.compress(data), zstandard.compress))
    with pytest.raises(EngineError, match=words) as raised:
        FileStorage(tmp_path).unpack(weights, buffer(300_000)[0])
    assert "\n" not in str(raised.value)
    assert "prepare again" in str(raised.value)


def test_a_compressed_file_damaged_later_is_found_by_its_own_checksum(tmp_path, zstandard):
    data = content(300_000)
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(data)
    weights = stored(tmp_path, data, packed=packed)
    storage = FileStorage(tmp_path)
    storage.unpack(weights, buffer(300_000)[0])
    (tmp_path / "w.bin.zst").write_bytes(packed[:-1] + bytes([packed[-1] ^ 1]))
    with pytest.raises(EngineError, match="cannot read"):
        storage.unpack(weights, buffer(300_000)[0])


def test_a_missing_compressed_file_is_one_line(tmp_path, zstandard):
    with pytest.raises(EngineError, match=r"cannot read .*No such file"):
        FileStorage(tmp_path).unpack(StoredWeights("w.bin", 10, 0, "w.bin.zst", 5), buffer(10)[0])


def test_without_zstandard_the_install_line_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(DependencyError, match=r"pip install 'edgeline\[zstd\]'"):
        import_zstandard()
    with pytest.raises(DependencyError):
        FileStorage(tmp_path).unpack(StoredWeights("w.bin", 10, 0, "w.bin.zst", 5), buffer(10)[0])
