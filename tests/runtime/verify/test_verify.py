"""Verifying a bundle on this device: what is confirmed, what is refuted, and what cannot be told."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_bundle import make_bundle

from edge_runtime.bundle.bundle import MANIFEST, Bundle
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.manifest import Accuracy, Certificate, Latency, Manifest
from edge_runtime.bundle.postprocess_spec import Raw
from edge_runtime.bundle.seal import UNSEALED, seal
from edge_runtime.cli import run as cli
from edge_runtime.cli.console import run_command
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import BundleError, DataError, VerificationError
from edge_runtime.inspect.fake_engine import fake_manifest
from edge_runtime.opening.choice import open_runner
from edge_runtime.opening.options import OpenOptions
from edge_runtime.opening.verified import verify_bundle
from edge_runtime.ort.runner import AtOnce
from edge_runtime.ort.session import SessionOptions
from edge_runtime.verify.golden import load_golden
from edge_runtime.verify.verification import Verification, describe_machine
from edge_runtime.verify.verify import verify

Arrays = dict[str, NDArray[Any]]
COUNT = 400
OPTIONS = OpenOptions(SessionOptions(threads=1), use_cache=False)


class Answering(AtOnce):
    """A Runner: one input, and outputs given beforehand, sample after sample."""

    def __init__(self, outputs: Arrays) -> None:
        self.providers: tuple[str, ...] = ("CPUExecutionProvider",)
        self._outputs = outputs

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Answer the sample whose number is the input."""
        number = int(feeds["x"][0, 0])
        return {name: values[number : number + 1] for name, values in self._outputs.items()}

    def close(self) -> None:
        """Nothing to free."""


def manifest_of(*accuracy: Accuracy, dtype: str = "float32") -> Manifest:
    return dataclasses.replace(
        fake_manifest(),
        inputs=(TensorSpec("x", "float32", ("n", 1)),),
        outputs=(TensorSpec("y", dtype, ("n", COUNT)),),
        preprocess=None,
        postprocess=Raw(),
        accuracy=accuracy,
    )


def judged(recorded: NDArray[Any], found: NDArray[Any], fp32: NDArray[Any] | None, *figures: Accuracy) -> Verification:
    """Verify an output y [samples, COUNT]."""
    arrays: Arrays = {"input_x": np.arange(len(recorded), dtype=np.float32)[:, None, None], "output_y": recorded}
    if fp32 is not None:
        arrays |= {"reference_y": fp32, "within_y": np.arange(COUNT, dtype=np.uint16)}
    bundle = Bundle(Path("some.edge"), manifest_of(*figures, dtype=str(found.dtype)), "0" * 64)
    return verify(Answering({"y": found}), bundle, arrays)


def noisy(signal: NDArray[Any], decibels: float, seed: int) -> NDArray[Any]:
    """The signal of power 1 with independent noise, so many dB below it."""
    noise = np.random.default_rng(seed).standard_normal(signal.shape) * 10 ** (-decibels / 20)
    return np.asarray(signal + noise, np.float32)


SIGNAL = np.random.default_rng(0).standard_normal((2, COUNT)).astype(np.float32)


@settings(max_examples=40)
@given(st.floats(3, 45), st.integers(1, 10**6))
def test_rounding_of_another_kind_but_as_fine_is_confirmed(level: float, seed: int) -> None:
    found = judged(noisy(SIGNAL, level, seed), noisy(SIGNAL, level, seed + 1), SIGNAL)
    assert found.confirmed, found.line()
    found.check()


@settings(max_examples=40)
@given(st.floats(10, 45), st.integers(1, 10**6))
def test_ten_times_the_noise_is_refuted(level: float, seed: int) -> None:
    found = judged(noisy(SIGNAL, level, seed), noisy(SIGNAL, level - 10, seed + 1), SIGNAL)
    assert not found.confirmed
    assert found.line().startswith("refuted: some.edge on ")
    assert "output 'y' is " in found.reasons[0]
    with pytest.raises(VerificationError, match="refuted"):
        found.check()


@pytest.mark.parametrize(("apart", "confirmed"), [(50.0, True), (20.0, True), (12.0, False)])
def test_without_fp32s_answers_the_distance_from_the_recorded_ones_counts(apart: float, confirmed: bool) -> None:
    certified = Accuracy("sqnr_db y", "16 samples", None, 20.6)
    found = judged(SIGNAL, noisy(SIGNAL, apart, 1), None, certified)
    assert found.confirmed is confirmed
    assert found.parts[0].fp32_db is None
    if confirmed:
        assert (
            "dB from the recorded answers to 2 golden samples, the certificate says 20.6 dB from FP32" in found.line()
        )


def test_a_lucky_sample_is_not_held_against_a_device_that_does_as_the_certificate_says() -> None:
    certified = Accuracy("sqnr_db y", "16 samples", None, 25.0)
    assert judged(noisy(SIGNAL, 40, 1), noisy(SIGNAL, 25, 2), SIGNAL, certified).confirmed


@pytest.mark.parametrize(("level", "confirmed"), [(60.0, True), (30.0, False)])
def test_float_models_may_round_as_fp16_does_and_no_more(level: float, confirmed: bool) -> None:
    certified = Accuracy("sqnr_db y", "16 samples", None, 120.0)
    assert judged(SIGNAL, noisy(SIGNAL, level, 1), SIGNAL, certified).confirmed is confirmed


def test_a_single_wild_value_is_refuted_by_the_largest_difference() -> None:
    recorded = noisy(SIGNAL, 20, 1)
    found = recorded.copy()
    found[1, 7] += 1.5
    figures = Accuracy("sqnr_db y", "", None, 20.0), Accuracy("max_abs_diff y", "", None, 0.3)
    assert judged(recorded, recorded, SIGNAL, *figures).confirmed
    assert "is off by up to 1.5, at most 1.2 can be" in judged(recorded, found, SIGNAL, *figures).line()


def test_an_answer_that_is_no_number_is_refuted() -> None:
    found = SIGNAL.copy()
    found[0, :3] = np.nan
    assert "holds 3 values that are NaN or infinite" in judged(SIGNAL, found, SIGNAL).line()
    assert judged(found, found, None).confirmed  # where it was exported, too


def test_class_indices_are_counted() -> None:
    classes = np.random.default_rng(0).integers(0, 9, (2, COUNT))
    few, most = classes.copy(), classes.copy()
    few[:, :20] += 1
    most[:, :200] += 1
    assert judged(classes, few, classes).confirmed
    assert not judged(classes, most, classes).confirmed


def test_fewer_values_than_were_recorded_are_refuted() -> None:
    line = judged(SIGNAL, SIGNAL[:, :50], None).line()
    assert "output 'y' has only 50 values here" in line


def test_recorded_answers_that_are_no_numbers_are_a_damaged_bundle() -> None:
    with pytest.raises(BundleError, match="holds 'output_y' of type <U1"):
        judged(np.full((2, COUNT), "a"), SIGNAL, None)


def test_a_processor_without_vnni_is_told_from_what_linux_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name, flags in (("old", "fpu avx2 fma"), ("new", "fpu avx2 avx512_vnni")):
        told = tmp_path / name / "proc/cpuinfo"
        told.parent.mkdir(parents=True)
        told.write_text(f"processor : 0\nflags\t\t: {flags}\n")
    machine = describe_machine(("CPUExecutionProvider",), tmp_path / "old")
    assert machine.saturates
    assert str(machine).startswith("x86-64 (onnxruntime ")
    assert not describe_machine(("CPUExecutionProvider",), tmp_path / "new").saturates
    assert not describe_machine(("CPUExecutionProvider",), tmp_path / "none").saturates


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"providers": ("CUDA", "CPU")}, "try --device cpu"),
        ({"saturates": True}, "has no VNNI"),
        ({"onnxruntime": "1.0"}, "which it was exported with"),
        ({"onnxruntime": "0"}, "try --no-cache"),
    ],
)
def test_a_refuted_bundle_comes_with_what_to_try(changes: dict[str, Any], advice: str) -> None:
    found = judged(SIGNAL, -SIGNAL, None)
    machine = dataclasses.replace(found.machine, **{"saturates": False, **changes})  # whatever this one does
    found = dataclasses.replace(found, machine=machine, integers=True)
    assert advice in found.line()


# From here on with real bundles.


def edge_run(*args: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        run_command(cli.edge_run, "edge-run", [str(arg) for arg in args])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("verify"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def rewritten(bundle: Path, target: Path, change: Callable[[Arrays], Arrays]) -> Path:
    """A copy of the bundle with other golden samples, as whole as the first."""
    shutil.copytree(bundle, target)
    np.savez(target / "golden.npz", **change(load_golden(target / "golden.npz")))  # type: ignore[arg-type]
    payload = (target / "golden.npz").read_bytes()
    manifest = json.loads((target / MANIFEST).read_text())
    manifest["files"]["golden.npz"] = {"size": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    manifest["digest"] = UNSEALED
    (target / MANIFEST).write_bytes(seal(json.dumps(manifest).encode()))
    return target


def test_the_shipped_sample_is_intact_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert edge_run("--verify", find_sample().bundle, "--no-cache", "--threads", "1") == 0
    output = capsys.readouterr()
    assert output.out.startswith("intact: pcb.edge on ")  # nobody vouches for it
    assert "2 golden samples" in output.out
    assert output.out.count("\n") == 1


def test_a_memory_limit_is_verified_with_what_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--verify", "--no-cache", "--threads", "1", "--memory-limit", "2GB", "--json"]
    assert edge_run(find_sample().bundle, *flags) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verification"], found["trust"], found["key"]) == ("intact", "unsigned", None)
    assert [part["name"] for part in found["outputs"]] == ["predictions boxes", "predictions scores"]
    assert found["ms_per_frame"] > 0


def test_answers_to_a_task_without_answers_are_refuted_in_one_line(tiny: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(tiny, tmp_path / "b.edge")
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest.update(postprocess={"task": "raw"}, verdict={"rule": "none"}, digest=UNSEALED)
    (bundle / MANIFEST).write_bytes(seal(json.dumps(manifest).encode()))
    found = verify_bundle(bundle, OPTIONS)
    assert not found.confirmed
    assert "answers 0 % the same" in found.line()


def test_an_export_records_what_fp32_answers_and_what_answers_mean(tiny: Path) -> None:
    arrays = load_golden(tiny / "golden.npz")
    assert arrays["reference_logits"].shape == arrays["output_logits"].shape
    with contextlib.closing(open_runner(tiny, OPTIONS)) as opened:
        found = verify(opened.runner, opened.bundle, arrays)
    assert found.confirmed
    assert found.answers is not None
    assert found.answers.share == 1.0
    assert found.parts[0].recorded_db == 120.0
    assert "classes 100 % the same" in found.line()


def test_other_answers_are_refuted_with_a_code_of_their_own(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = ("reference_logits", "output_logits")
    other = rewritten(tiny, tmp_path / "c.edge", lambda arrays: {**arrays, **{n: -arrays[n] for n in changed}})
    assert edge_run("--verify", other, "--no-cache") == VerificationError.exit_code == 13
    output = capsys.readouterr()
    assert output.out.startswith("refuted: c.edge on ")
    assert "do not rely on it here" in output.out
    assert output.out.count("\n") == 1
    assert edge_run("--verify", other, "--no-cache", "--json") == 13
    found = json.loads(capsys.readouterr().out)
    assert found["verification"] == "refuted"
    assert "output 'logits' is -6.0 dB from FP32" in found["outputs"][0]["problem"]


def test_an_answer_that_means_something_else_is_refuted(tiny: Path) -> None:
    arrays = load_golden(tiny / "golden.npz")
    answer = arrays["answer_00"].copy()
    answer[:, 0] = [0.9, 0.04, 0.03, 0.02, 0.01]
    answer[:, 1] = np.roll(answer[:, 1], 1)
    with contextlib.closing(open_runner(tiny, OPTIONS)) as opened:
        found = verify(opened.runner, opened.bundle, {**arrays, "answer_00": answer})
    assert found.reasons[0].startswith("sample 1: ")
    assert "classes 50 % the same" in found.line()


@pytest.mark.parametrize("empty", [{}, {"nothing": np.zeros(1)}])
def test_a_bundle_without_golden_samples_is_not_confirmed(
    tiny: Path, tmp_path: Path, empty: Arrays, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = rewritten(tiny, tmp_path / "bare.edge", lambda _arrays: empty)
    assert edge_run("--verify", bare, "--no-cache") == DataError.exit_code
    output = capsys.readouterr()
    assert output.out == ""
    assert "nothing can be verified" in output.err


def test_a_damaged_bundle_is_told_as_such(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tiny, tmp_path / "d.edge")
    damaged = bytearray((tmp_path / "d.edge/weights.bin").read_bytes())
    damaged[100] ^= 1
    (tmp_path / "d.edge/weights.bin").write_bytes(damaged)
    assert edge_run("--verify", tmp_path / "d.edge", "--no-cache") == 3
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("extra", [["--source", "0"], ["--explain"], ["another.edge"]])
def test_verifying_takes_a_bundle_and_nothing_to_look_at(tiny: Path, extra: list[str]) -> None:
    assert edge_run("--verify", tiny, *extra) == 2


def test_the_certificates_speed_is_told_beside_and_never_judged(tiny: Path) -> None:
    with contextlib.closing(open_runner(tiny, OPTIONS)) as opened:
        found = verify(opened.runner, opened.bundle, load_golden(tiny / "golden.npz"))
    latency = Latency("a desk", 1, 2.0, 1e-9)
    certificate = Certificate("good", "a desk", 0.01, "none", (), latency)
    found = dataclasses.replace(found, certificate=certificate)
    assert found.line().endswith(" ms a frame (0.0 ms on a desk); unsigned")
    assert found.to_json()["certificate_latency"]["machine"] == "a desk"
    assert math.isfinite(found.to_json()["ms_per_frame"])


def test_complex_answers_are_compared_in_both_parts():
    rng = np.random.default_rng(0)
    truth = (rng.standard_normal((2, COUNT)) + 1j * rng.standard_normal((2, COUNT))).astype(np.complex64)
    noisy = (truth + 1e-3j * rng.standard_normal((2, COUNT))).astype(np.complex64)
    (part,) = judged(truth, noisy, truth).parts
    assert part.values == 4 * COUNT
    assert 55 < part.deviation_db < 70
    assert not judged(truth, truth.conj(), truth).confirmed
