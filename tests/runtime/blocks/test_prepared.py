"""The JSON files of a prepared folder: what was written is read, what is damaged is prepared again."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.blocks.measured import Measured
from edge_runtime.blocks.prepared import (
    CHECKED,
    CheckedBundle,
    Prepared,
    PreparedBlock,
    PreparedWhole,
    Rest,
    StoredWeights,
    checked_before,
    measurements_name,
    read_json,
    write_json,
)
from edge_runtime.blocks.sums import Sums
from edge_runtime.errors import EngineError, OutputError
from edge_runtime.plan.measurements import (
    BlockMeasurement,
    FormMeasurement,
    Measurements,
    Speeds,
    Timing,
    ValueMeasurement,
    WholeMeasurement,
    Work,
)

PREPARED = Prepared(
    1,
    (
        PreparedBlock(
            "cut-00.onnx",
            "cut-00.onnx",
            StoredWeights("cut-00.bin", 8192, 99, "cut-00.bin.zst", 50),
            ("images",),
            ("n",),
            ((0, 4096), (4096, 4096)),
            Rest("cut-00.bin", 8192, 100, 77),
        ),
        PreparedBlock("cut-01.onnx", "cut-01.onnx", None, ("n",), ()),
    ),
)
FORM = FormMeasurement("streamed", 10, 20, 1.5, (Timing(1, 2.0), Timing(4, 7.25)))
MEASURED = Measured(
    1,
    Measurements(
        2,
        (1, 4),
        (ValueMeasurement("images", "float32", (1, 3, 16, 16), 0), ValueMeasurement("n", "int64", (), -1, False)),
        (BlockMeasurement("block-00.onnx", ("images",), ("n",), 5, 6, (FORM,), (Work(1, 100),), 3, 0.5),),
        WholeMeasurement(1, 2, (Timing(1, 1e-3),), ()),
        -7,
    ),
    Speeds(40e6, 2e9, 4),
)
ALL = [PREPARED, MEASURED, replace(MEASURED, measurements=replace(MEASURED.measurements, whole=None))]
ALL += [PreparedWhole(1, "whole.onnx"), Sums(1, {"whole.onnx": 5}), CheckedBundle(1, {"manifest.json": "1 2 3"})]


@pytest.mark.parametrize("value", ALL, ids=lambda value: type(value).__name__)
def test_what_was_written_is_read(tmp_path, value):
    write_json(value, tmp_path / "a.json")
    assert read_json(type(value), tmp_path / "a.json") == value


@pytest.mark.parametrize("value", ALL, ids=lambda value: type(value).__name__)
def test_a_file_that_was_cut_anywhere_is_none(tmp_path, value):
    path = tmp_path / "a.json"
    write_json(value, path)
    text = path.read_bytes().rstrip()
    for length in range(0, len(text), 7):
        path.write_bytes(text[:length])
        assert read_json(type(value), path) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"schema": 1}',
        b'{"schema": 2, "graph": "whole.onnx"}',
        b'{"schema": true, "graph": "whole.onnx"}',
        b'{"schema": 1, "graph": 5}',
        b'{"schema": 1, "graph": "a", "more": 1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema": 1' + b"0" * 5000 + b', "graph": "a"}',
    ],
    ids=lambda text: repr(text[:20]),
)
def test_a_damaged_file_or_one_of_another_version_is_none(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    assert read_json(PreparedWhole, tmp_path / "a.json") is None


def test_a_missing_file_or_a_folder_in_its_place_is_none(tmp_path):
    assert read_json(Prepared, tmp_path / "none.json") is None
    assert read_json(Prepared, tmp_path) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_none(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(data)
    assert read_json(Prepared, path) is None


@given(st.data())
def test_a_changed_byte_gives_measurements_of_the_right_types_or_none(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "changed.json"
    write_json(MEASURED, path)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    found = read_json(Measured, path)
    assert found is None or math.isfinite(found.speeds.read_bytes_per_s)


@pytest.mark.parametrize("speed", [math.nan, math.inf])
def test_a_number_that_json_has_not_is_refused_and_nothing_is_written(tmp_path, speed):
    broken = replace(MEASURED, speeds=replace(MEASURED.speeds, read_bytes_per_s=speed))
    with pytest.raises(EngineError, match=r"a\.json cannot be written"):
        write_json(broken, tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        write_json(PREPARED, tmp_path / "none" / "a.json")


def test_measurements_are_named_by_threads_and_batch():
    assert measurements_name(2, 8) == "measured-t2-b8.json"


def test_a_number_that_rots_into_another_is_found(tmp_path):
    write_json(PREPARED, tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert text.count('"crc32": 99') == 1
    (tmp_path / "a.json").write_text(text.replace('"crc32": 99', '"crc32": 98'))
    assert read_json(Prepared, tmp_path / "a.json") is None
    (tmp_path / "a.json").write_text(text)
    assert read_json(Prepared, tmp_path / "a.json") == PREPARED


@given(data=st.data())
def test_a_flipped_bit_is_found_or_changes_nothing(data, tmp_path):
    path = tmp_path / "a.json"
    write_json(MEASURED, path)
    payload = bytearray(path.read_bytes())
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(payload)
    assert read_json(Measured, path) in (None, MEASURED)


def test_a_bundle_was_checked_only_if_all_its_files_are_what_they_were(tmp_path):
    stamps = {"manifest.json": "1 2 3", "weights.bin": "4 5 6"}
    assert not checked_before(tmp_path, stamps)
    write_json(CheckedBundle(1, stamps), tmp_path / CHECKED)
    assert checked_before(tmp_path, dict(reversed(stamps.items())))
    assert not checked_before(tmp_path, {**stamps, "weights.bin": "4 5 7"})
    assert not checked_before(tmp_path, {"manifest.json": "1 2 3"})
    assert not checked_before(tmp_path, {**stamps, "more": ""})
    content = json.loads((tmp_path / CHECKED).read_text())
    (tmp_path / CHECKED).write_text(json.dumps({**content, "schema": 2}))
    assert not checked_before(tmp_path, stamps)
