"""Archives of bundles: those that people make are read, those that attackers make are refused within budgets."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import tarfile
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import BundleError
from edge_runtime.station.updates import unpack as unpacking
from edge_runtime.station.updates.unpack import unpack

FILES = {"manifest.json": b"{}", "weights.bin": bytes(range(256)) * 5000}


def tar(members, mode="w", form=tarfile.PAX_FORMAT):
    """An archive of (name, bytes or a TarInfo)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode, format=form) as archive:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return name, info


def zipped(members, method=zipfile.ZIP_DEFLATED):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return made.getvalue()


def unpacked(data, folder):
    folder.mkdir(exist_ok=True)
    unpack(io.BytesIO(data), "a.tar", folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def members(prefix=""):
    return [(prefix + name, content) for name, content in FILES.items()]


@pytest.mark.parametrize(
    "data",
    [
        tar(members()),
        tar([special("b.edge", tarfile.DIRTYPE), *members("b.edge/")]),
        tar([special(".", tarfile.DIRTYPE), *members("./")], form=tarfile.GNU_FORMAT),
        tar(members("b.edge/"), "w:gz"),
        zipped(members()),
        zipped([("b.edge/", b""), *members("b.edge/")]),
        zipped(members("b.edge/"), zipfile.ZIP_STORED),
    ],
)
def test_archives_as_tar_and_zip_make_them_are_read(data, tmp_path):
    assert unpacked(data, tmp_path / "new") == FILES


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "data",
    [
        tar([("../manifest.json", b"{}")]),
        tar([("b.edge/../../x", b"{}")]),
        tar([("/etc/passwd", b"{}")]),
        tar([("b.edge/deeper/manifest.json", b"{}")]),
        tar([("b\\..\\x", b"{}")]),
        tar([(".hidden", b"{}")]),
        tar([("a\x1b[2J", b"{}")]),
        tar([special("manifest.json", tarfile.SYMTYPE, "/etc/passwd")]),
        tar([("a", b""), special("manifest.json", tarfile.LNKTYPE, "a")]),
        tar([special("manifest.json", tarfile.CHRTYPE)]),
        tar([special("manifest.json", tarfile.FIFOTYPE)]),
        tar([("one/a", b""), ("other/b", b"")]),
        tar([("a", b""), ("a", b"")]),
        tar([("a", b""), ("./a", b"")]),
        tar([]),
        zipped([("../manifest.json", b"{}")]),
        zipped([(link("manifest.json"), "/etc/passwd")]),
        zipped([("manifest.json", b"{}")], zipfile.ZIP_BZIP2),
        b"",
        b"PK\x03\x04" + bytes(600),
        b"\x1f\x8b" + bytes(600),
        bytes(257) + b"ustar" + bytes(600),
        b"no archive" * 100,
        tar(members())[:3000],
        tar(members(), "w:gz")[:400],
        gzip.compress(b"no archive" * 100, mtime=0),
    ],
    ids=lambda data: f"{len(data)} bytes",  # in the bytes is the time
)
def test_archives_of_anything_but_plain_files_of_one_folder_are_refused(data, tmp_path):
    with pytest.raises(BundleError, match=r"a\.tar "):
        unpacked(data, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_is_written_is_counted_whatever_headers_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1 << 20)
    for number, data in enumerate((tar(members(), "w:gz"), zipped(members()), tar(members()))):
        with pytest.raises(BundleError, match="at most"):
            unpacked(data, tmp_path / str(number))
        assert sum(path.stat().st_size for path in (tmp_path / str(number)).iterdir()) <= 1 << 20


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST_FILES", 3)
    with pytest.raises(BundleError, match="more than 3 files"):
        unpacked(tar([(f"f{number}", b"") for number in range(4)]), tmp_path / "new")


def test_a_header_of_gigabytes_takes_no_memory(tmp_path):
    pax = tarfile.TarInfo("x")
    pax.type, pax.size = tarfile.XHDTYPE, 4 << 30
    long_name = tarfile.TarInfo("x")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 2 << 20
    for number, info in enumerate((pax, long_name)):
        head = info.tobuf(tarfile.GNU_FORMAT)
        data = gzip.compress(head + bytes(64 << 20), 1)
        tracemalloc.start()
        with pytest.raises(BundleError, match="header"):
            unpacked(data, tmp_path / str(number))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20


def test_headers_that_are_short_each_and_endless_together_take_no_memory(tmp_path):
    record = b"600025 comment%06d=" + b"x" * (600_025 - len("600025 comment000000=") - 1) + b"\n"  # length key=value
    pieces = []
    for number in range(60):
        payload = record % number
        for name, kind, content in ((f"g{number}", tarfile.XGLTYPE, payload), (f"f{number}", tarfile.REGTYPE, b"")):
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            pieces.append(info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
    data = gzip.compress(b"".join(pieces) + bytes(1024), 1)
    tracemalloc.start()
    with pytest.raises(BundleError, match="headers of more than"):
        unpacked(data, tmp_path / "new")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20


@given(st.data())
def test_a_damaged_archive_is_read_or_refused_as_one(tmp_path, data):
    whole = data.draw(st.sampled_from([tar(members()), tar(members("b.edge/"), "w:gz"), zipped(members())]))
    payload = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(payload) - 1, 2000)))
        place = place if data.draw(st.booleans()) else len(payload) - 1 - place
        payload[place] = data.draw(st.integers(0, 255))
    folder = tmp_path / os.urandom(8).hex()
    with contextlib.suppress(BundleError):
        unpacked(bytes(payload), folder)
    assert all(path.is_file() and not path.is_symlink() for path in folder.iterdir())
