"""edge-bench: cases from flags, rows from measured processes, the JSON that scripts rely on, the table."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_fakes import fake_bundle, install_fakes
from click.testing import CliRunner
from patience import PATIENCE

from edge_runtime.errors import EngineError, UsageError
from edge_runtime.files.schema import to_json
from edge_tools.bench import cli as cli_module
from edge_tools.bench.cases import Blocks, Case, Host, Latency, MeasuredCase, Report, Row
from edge_tools.bench.cli import edge_bench
from edge_tools.bench.confine import Charges
from edge_tools.bench.host import describe_host
from edge_tools.bench.measure import Options, measure
from edge_tools.bench.page_cache import PageCache
from edge_tools.bench.progress import Progress
from edge_tools.bench.samples import make_inputs, max_abs_diff
from edge_tools.bench.table import as_table

HOST = Host("a CPU", 4, 8 * 10**9, "6.1", "3.11", "1.31", "left as it was")
ROW_KEYS = [
    *("engine", "memory_limit_bytes", "batch", "concurrency", "confined", "status", "message", "latency_ms"),
    *("images_per_s", "cold_start_ms", "peak_bytes", "base_bytes", "blocks", "max_abs_diff"),
    *("model", "precision", "label", "sustained", "watts", "joules_per_image"),
]
PLAIN = Row("onnxruntime", None, 8, 1, False, "ok", "", Latency(10, 11, 12), 800.0, 500.0, 300_000_000, 70_000_000,
            Blocks(0, 0, 0), 0.0)  # fmt: skip
OURS = replace(PLAIN, engine="edgeline", memory_limit_bytes=160_000_000, latency_ms=Latency(11, 12, 13),
               cold_start_ms=250.0, peak_bytes=116_000_000, blocks=Blocks(3, 5, 1), max_abs_diff=1.5e-6)  # fmt: skip
KILLED = Row("onnxruntime", 96_000_000, 8, None, True, "killed", "killed by the kernel for its memory")


def table_of(*rows: Row) -> str:
    return as_table("a", Report("a.edge", "cpu", HOST, rows), [MeasuredCase(row) for row in rows])


def run_cases(folder: Path, cases: Sequence[Case]) -> list[MeasuredCase]:
    options = Options(
        "model.onnx", folder, PageCache([], False), lambda _text: None, rounds=2, starts=1, timeout=PATIENCE
    )
    rows, version = measure(fake_bundle(folder), cases, options)
    assert version == "1.0"
    return rows


def case(name: str, limit: int | None = None, batch: int = 1) -> Case:
    return Case("edgeline", f"{name}.edge", limit, batch)


def test_cases_become_rows_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fakes(monkeypatch, tmp_path)
    cases = [case("good"), case("good", 1), case("killed"), Case("onnxruntime", "model.onnx", None, 1)]
    cases += [case("killed-later"), case("off", 10**8)]
    good, refused, killed, plain, later, off = (measured.row for measured in run_cases(tmp_path, cases))
    assert [row.status for row in (good, refused, killed, plain, later, off)] == [
        *("ok", "refused", "killed", "ok", "killed", "ok"),
    ]
    assert good.blocks == Blocks(1, 2, 0)
    assert (good.concurrency, plain.concurrency, killed.concurrency) == (1, 1, None)
    assert (good.max_abs_diff, off.max_abs_diff) == (0.0, 1.0)
    assert "too little" in refused.message
    assert plain.blocks == Blocks(0, 0, 0)
    assert good.peak_bytes is not None
    assert good.base_bytes is not None
    assert good.peak_bytes >= good.base_bytes > 0


def test_a_case_that_fails_ends_the_measurement_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fakes(monkeypatch, tmp_path)
    with pytest.raises(EngineError, match=r"edgeline, no limit, batch 2 failed .* the block is damaged"):
        run_cases(tmp_path, [case("fails", batch=2)])


def test_the_report_has_exactly_the_keys_that_scripts_rely_on() -> None:
    report = to_json(Report("a.edge", "cpu", HOST, (OURS, KILLED)))
    assert list(report) == ["bundle", "device", "host", "rows", "label", "emulated", "about"]
    for row in report["rows"]:
        assert list(row) == ROW_KEYS
        assert list(row["latency_ms"]) == ["p50", "p95", "p99"]
        assert list(row["blocks"]) == ["resident", "streamed", "reloaded"]
    assert report["rows"][1]["latency_ms"]["p50"] is None
    assert report["rows"][1]["peak_bytes"] is None


def test_the_table_compares_with_plain_onnxruntime_of_the_same_batch() -> None:
    lines = table_of(OURS, PLAIN, replace(OURS, batch=1)).splitlines()
    time, memory, time_alone, memory_alone = (line.split() for line in lines if line.startswith("edgeline"))
    assert [cell for cell in time if cell.endswith("x")] == ["1.10x", "0.50x"]
    assert [cell for cell in memory if cell.endswith("x")] == ["0.20x"]
    assert "3/5/1" in memory
    assert not [cell for cell in (*time_alone, *memory_alone) if cell.endswith("x")]


def test_the_table_shows_a_kill_in_words_and_what_was_charged() -> None:
    rows = [MeasuredCase(replace(OURS, confined=True), Charges(0, 7, 150_000_000)), MeasuredCase(KILLED)]
    text = as_table("a", Report("a.edge", "cpu", HOST, tuple(measured.row for measured in rows)), rows)
    assert "150.0 MB" in [line for line in text.splitlines() if line.startswith("edgeline")][1]
    assert "onnxruntime  96.0 MB   killed by the kernel for its memory" in text


def test_the_golden_inputs_fill_the_batch(tmp_path: Path) -> None:
    made = make_inputs(fake_bundle(tmp_path), 3)["images"]
    assert made.shape == (3, 3, 64, 64)
    assert made[:, 0, 0, 0].tolist() == [1.0, 2.0, 1.0]


def test_a_model_of_a_fixed_batch_takes_no_other(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path)
    spec = replace(bundle.manifest.inputs[0], shape=(1, 3, 64, 64))
    fixed = replace(bundle, manifest=replace(bundle.manifest, inputs=(spec,)))
    assert make_inputs(fixed, 1)["images"].shape == (1, 3, 64, 64)
    with pytest.raises(UsageError, match=r"--batch 2: the model takes 'images' as \[1, 3, 64, 64\] only"):
        make_inputs(fixed, 2)


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([np.nan, np.inf], [np.nan, np.inf], 0.0),
        ([1.0], [np.nan], 1.7976931348623157e308),
    ],
)
def test_the_largest_difference_is_a_number(
    tmp_path: Path, one: list[float], other: list[float], difference: float
) -> None:
    for name, values in (("one", one), ("other", other)):
        np.savez(tmp_path / f"{name}.npz", output_y=np.array(values))
    assert max_abs_diff(tmp_path / "one.npz", tmp_path / "other.npz") == difference


def test_other_outputs_than_the_references_are_refused(tmp_path: Path) -> None:
    for name, shape in (("y", 1), ("z", 1), ("y2", 2)):
        np.savez(tmp_path / f"{name}.npz", **{f"output_{name[0]}": np.zeros(shape)})  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="the reference has the outputs y, the engine z"):
        max_abs_diff(tmp_path / "y.npz", tmp_path / "z.npz")
    with pytest.raises(EngineError, match=r"output 'y' is \[2\], the reference's \[1\]"):
        max_abs_diff(tmp_path / "y.npz", tmp_path / "y2.npz")


def test_a_board_is_named_by_its_firmware(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal:  1000 kB\nMemAvailable:  500 kB\n")
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\nmodel name : Some CPU\n")
    assert describe_host("1.31", "left", tmp_path).cpu == "Some CPU"
    (tmp_path / "proc/device-tree/model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    found = describe_host("1.31", "left", tmp_path)
    assert (found.cpu, found.memory_bytes) == ("Raspberry Pi 5 Model B Rev 1.0", 1_024_000)


def test_a_long_run_is_told_in_windows_with_what_it_drew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fakes(monkeypatch, tmp_path)

    class Always5W:
        name, covers, period_s = "a fake", "everything", 0.001

        def read(self) -> tuple[float, ...]:
            return (5.0,)

        def joules(self, before: tuple[float, ...], after: tuple[float, ...], seconds: float) -> float:
            return (before[0] + after[0]) / 2 * seconds

    options = Options(
        "model.onnx",
        tmp_path,
        PageCache([], False),
        lambda _text: None,
        rounds=1,
        starts=1,
        timeout=PATIENCE,
        sustain_s=0.02,
        sensor=Always5W(),
        celsius=lambda: 61.5,
        label="emulated",
    )
    rows, _ = measure(fake_bundle(tmp_path), [case("good", batch=2)], options)
    row = rows[0].row
    assert row.sustained is not None
    assert row.sustained.first == row.sustained.images_per_s[0] > 0
    assert row.sustained.celsius == (61.5,) * len(row.sustained.images_per_s)
    assert row.watts == pytest.approx(5.0)
    assert row.joules_per_image == pytest.approx(5.0 * row.sustained.seconds / row.sustained.images, rel=1e-3)
    assert (row.label, row.model) == ("emulated", "good.edge")


def test_a_log_gets_a_line_for_each_step_and_not_for_each_round() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    for number in (1, 2, 3):
        progress(f"batch 1, round {number} of 3")
    progress.done()
    assert stream.getvalue() == "batch 1\n"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--memory-limit", "big"], "expected a size"),
        (["--memory-limit", "0"], "above 0 bytes"),
        (["--batch", "1,x"], "--batch expects numbers"),
        (["--against", "tflite"], "expects 'onnxruntime' or an ONNX file"),
        (["--reference", "absent.onnx"], "no such file"),
        (["--cpus", "1"], "add --confine"),
        (["--keep-cache", "--drop-cache-each"], "contradict each other"),
        (["--confine", "--cpus", "100000"], "a machine with more cannot be tried"),
        (["--as", "raspberry-pie"], "did you mean raspberry-pi"),
        (["--report", "."], "that is a folder"),
        (["--csv", "absent/a.csv"], "there is no folder"),
    ],
)
def test_flags_that_cannot_be_used_are_refused(flags: list[str], words: str) -> None:
    result = CliRunner().invoke(edge_bench, ["absent.edge", *flags])
    assert isinstance(result.exception, UsageError)
    assert words in str(result.exception)


def test_the_command_prints_one_object_and_measures_plain_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Case] = []
    prepared: list[int] = []

    def fake_measure(_bundle: object, cases: Sequence[Case], _options: Options) -> tuple[list[MeasuredCase], str]:
        seen.extend(cases)
        return [MeasuredCase(OURS)], "1.31"

    monkeypatch.setattr(cli_module, "read_bundle", lambda _path: fake_bundle(tmp_path))
    monkeypatch.setattr(cli_module, "prepare_all", lambda _bundle, batches, _threads, _say: prepared.extend(batches))
    monkeypatch.setattr(cli_module, "measure", fake_measure)
    page, rows = tmp_path / "a.html", tmp_path / "a.csv"
    flags = [*("--memory-limit", "96MB,none,96MB"), *("--batch", "1,8"), *("--against", "onnxruntime"), "--json"]
    flags += ["--report", str(page), "--csv", str(rows)]
    result = CliRunner().invoke(edge_bench, [str(tmp_path), *flags], catch_exceptions=False)
    report = json.loads(result.stdout)
    assert report["rows"][0]["engine"] == "edgeline"
    assert [str(case) for case in seen[:3]] == [
        "edgeline, 96.0 MB, batch 1",
        "edgeline, no limit, batch 1",
        "onnxruntime, no limit, batch 1",
    ]
    assert prepared == [1, 8]
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert rows.read_text().startswith("label,board")
    assert report["about"]["board"]
    assert report["about"]["bundle"]["model"]


def test_what_is_interrupted_leaves_the_older_report_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise SystemExit(130)

    monkeypatch.setattr(cli_module, "read_bundle", lambda _path: fake_bundle(tmp_path))
    monkeypatch.setattr(cli_module, "prepare_all", lambda *_: None)
    monkeypatch.setattr(cli_module, "measure", interrupted)
    page = tmp_path / "a.html"
    page.write_text("older")
    before = sorted(tmp_path.iterdir())
    result = CliRunner().invoke(edge_bench, [str(tmp_path), "--report", str(page)])
    assert result.exit_code == 130
    assert page.read_text() == "older"
    assert {path.name for path in tmp_path.iterdir()} - {path.name for path in before} <= {"golden.npz"}


def test_the_known_boards_are_listed_without_a_bundle() -> None:
    listed = CliRunner().invoke(edge_bench, ["--devices"], catch_exceptions=False)
    assert "raspberry-pi-4b" in listed.stdout
    found = json.loads(CliRunner().invoke(edge_bench, ["--devices", "--json"], catch_exceptions=False).stdout)
    assert "raspberry-pi-4b" in {device["id"] for device in found["devices"]}
    assert found["here"]
