"""The exporters' table end to end: a fake exporter on a tiny model, and all that can go wrong beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from tiny_models import convnet

from edge_runtime.bundle.postprocess_spec import Classify
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import EngineError
from edge_tools.export_bench import children, environments, export, run
from edge_tools.export_bench.children import JudgeChild
from edge_tools.export_bench.exporters import ENVIRONMENTS, EXPORTERS, Environment, Exporter
from edge_tools.export_bench.images import calibration_images, judged_images
from edge_tools.export_bench.judge import Judge, Judged
from edge_tools.export_bench.latency import Timed, rounds_of, time_all
from edge_tools.export_bench.places import Places
from edge_tools.export_bench.results import Results
from edge_tools.export_bench.run import Wanted, run_all, same_files
from edge_tools.export_bench.subjects import SUBJECTS, Subject, facts_of

COPY = """
import shutil, sys
shutil.copy(sys.argv[1], sys.argv[3])
"""
REFUSE = """
import sys
sys.stderr.write("a warning\\nValueError: cannot\\nshutting down\\n")
sys.exit(3)
"""
NOTHING = "pass\n"
BROKEN = """
import sys
open(sys.argv[3], "wb").write(b"no graph")
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A data folder with one model and twelve pictures, and fake exporters in an "environment" that is this one."""
    data = tmp_path / "data"
    (data / "models").mkdir(parents=True)
    (data / "imagenet").mkdir()
    onnx.save(convnet(size=16), str(data / "models" / "tiny.onnx"))
    drawn = np.random.default_rng(0)
    for index in range(12):
        picture = drawn.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        cv2.imwrite(str(data / "imagenet" / f"{index:02}.png"), picture)
    subject = Subject(
        "data/models/tiny.onnx", Preprocess(16, 16), Classify(top_k=2), "imagenet", "images", ("imagenet",), "none"
    )
    workers = tmp_path / "workers"
    workers.mkdir()
    for name, text in {"copy": COPY, "refuse": REFUSE, "nothing": NOTHING, "broken": BROKEN}.items():
        (workers / f"{name}.py").write_text(text)
    fakes = {name: Exporter("fake", f"{name}.py") for name in ("refuse", "nothing", "broken", "copy")}
    monkeypatch.setattr(export, "WORKERS", workers)
    monkeypatch.setattr(run, "WORKERS", workers)
    monkeypatch.setattr(export, "python_of", lambda _name, _folder: Path(sys.executable))
    monkeypatch.setattr(run, "install", lambda _name, _folder, _say: None)
    monkeypatch.setattr(run, "version_of", lambda _name, _folder: "fake 1")
    monkeypatch.setitem(ENVIRONMENTS, "fake", Environment("fake", ()))
    monkeypatch.setitem(SUBJECTS, "tiny", subject)
    for name, one in fakes.items():
        monkeypatch.setitem(EXPORTERS, name, one)
    return Places(data, tmp_path / "cache")


class InProcess:
    """A judge child that is no child: the subjects of a test are not those of another process."""

    def __init__(self, asked: dict[str, object], _seconds: float) -> None:
        places = Places(Path(str(asked["data"])), Path(str(asked["cache"])))
        seen = [Path(line) for line in Path(str(asked["seen"])).read_text().splitlines()]
        self._judge = Judge(SUBJECTS[str(asked["subject"])], Path(str(asked["fp32"])), places, seen, 0)

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def judge(self, model: Path) -> Judged:
        return self._judge.judge(model)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(run, "JudgeChild", InProcess)
    monkeypatch.setattr(run, "time_in_child", time_all)
    return []


def test_a_faithful_exporter_gets_its_figures_and_the_others_their_reasons(places: Places, said: list[str]) -> None:
    results = Results(places.results)
    run_all(Wanted(("tiny",), ("refuse", "nothing", "broken", "copy"), 4, rounds=3), places, results, said.append)
    rows = {row.exporter: row for row in results.youngest()}
    assert rows["refuse"].problem == "exit code 3: ValueError: cannot"
    assert "wrote no model.onnx" in rows["nothing"].problem
    assert "model.onnx is no ONNX file" in rows["broken"].problem
    copied = rows["copy"]
    assert copied.problem == ""
    assert copied.judged == Judged("agreement", 1.0, 8, fidelity={"agreement": 1.0}, sqnr_db=float("inf"))
    assert copied.bytes == copied.fp32_bytes
    assert copied.timed is not None
    assert copied.timed.rounds == 3
    assert copied.peak_bytes is not None
    assert copied.version == "fake 1"


def test_what_was_measured_is_not_measured_again_unless_asked(places: Places, said: list[str]) -> None:
    results = Results(places.results)
    wanted = Wanted(("tiny",), ("copy",), 4, rounds=0)
    run_all(wanted, places, results, said.append)
    assert any("tiny: copy" in text for text in said)
    said.clear()
    run_all(wanted, places, results, said.append)
    assert said == []
    run_all(Wanted(("tiny",), ("copy",), 4, rounds=0, refresh=True), places, results, said.append)
    assert any("tiny: copy" in text for text in said)


def test_a_changed_recipe_or_other_images_are_measured_anew(
    places: Places, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(places.results)
    run_all(Wanted(("tiny",), ("copy",), 4, rounds=0), places, results, said.append)
    first = results.youngest()[0].key
    run_all(Wanted(("tiny",), ("copy",), 5, rounds=0), places, results, said.append)
    monkeypatch.setitem(EXPORTERS, "copy", Exporter("fake", "copy.py", {"more": True}))
    run_all(Wanted(("tiny",), ("copy",), 4, rounds=0), places, results, said.append)
    assert results.youngest()[0].key != first
    assert len({first, results.youngest()[0].key}) == 2


def test_an_environment_that_cannot_be_made_is_a_row_with_its_reason(
    places: Places, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_name: str, _folder: Path, _say: object) -> None:
        raise EngineError("environment 'fake' could not be made: no network")

    monkeypatch.setattr(run, "install", fail)
    results = Results(places.results)
    run_all(Wanted(("tiny",), ("copy",), 4, rounds=0), places, results, said.append)
    assert results.youngest()[0].problem == "environment 'fake' could not be made: no network"


def test_a_model_that_is_not_there_does_not_end_the_run(
    places: Places, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (places.data / "models" / "tiny.onnx").unlink()
    run_all(Wanted(("tiny",), ("copy",), 4, rounds=0), places, Results(places.results), said.append)
    assert any("tiny.onnx is not there" in text for text in said)


def test_images_calibrated_on_are_never_judged_on(places: Places) -> None:
    seen = calibration_images(SUBJECTS["tiny"], places, 4)
    judged = judged_images(SUBJECTS["tiny"], places, seen)
    assert [path.name for path in seen] == ["00.png", "03.png", "06.png", "09.png"]
    assert len(judged) == 8
    assert not set(seen) & set(judged)


def test_more_samples_than_images_are_all_images(places: Places) -> None:
    assert len(calibration_images(SUBJECTS["tiny"], places, 99)) == 12


def test_only_the_weights_that_a_graph_names_are_weighed(tmp_path: Path) -> None:
    model = convnet(size=16)
    onnx.save(model, str(tmp_path / "plain.onnx"))
    onnx.save(model, str(tmp_path / "model.onnx"), save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "left-over.data").write_bytes(bytes(10**6))
    assert export.weighed(tmp_path / "plain.onnx") == (tmp_path / "plain.onnx").stat().st_size
    both = sum((tmp_path / name).stat().st_size for name in ("model.onnx", "w.bin"))
    assert export.weighed(tmp_path / "model.onnx") == both


def test_two_folders_are_the_same_only_byte_for_byte(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "a").write_bytes(b"1")
    assert same_files(tmp_path / "one", tmp_path / "two")
    (tmp_path / "two" / "deep" / "a").write_bytes(b"2")
    assert not same_files(tmp_path / "one", tmp_path / "two")
    (tmp_path / "two" / "deep" / "a").unlink()
    assert not same_files(tmp_path / "one", tmp_path / "two")


def test_a_judge_that_dies_is_an_error_in_one_line_and_the_next_one_is_asked_anew(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"subject": "no such", "data": str(places.data), "cache": "x", "seen": "nowhere", "fp32": "x", "limit": 0}
    with JudgeChild(asked, 60.0) as child:
        with pytest.raises(EngineError, match=r"judged m\.onnx ended \(1\): FileNotFoundError"):
            child.judge(Path("m.onnx"))
        assert child._process is None


def test_every_turn_of_a_round_runs_each_graph_once_unmeasured() -> None:
    calls: list[str] = []
    ticks = iter(range(1000))
    taken = rounds_of(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 5, 2, lambda: float(next(ticks))
    )
    assert calls.count("a") == calls.count("b") == 5 * 3
    assert taken == {"a": [500.0] * 5, "b": [500.0] * 5}


def test_a_graph_that_does_not_run_says_why_and_the_others_are_timed(places: Places, tmp_path: Path) -> None:
    model = places.data / "models" / "tiny.onnx"
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    np.savez(tmp_path / "t.npz", images=np.zeros((2, 3, 16, 16), np.float32))
    answers = time_all(model, {"good": model, "bad": tmp_path / "bad.onnx"}, tmp_path / "t.npz", 2)
    assert isinstance(answers["good"], Timed)
    assert "cannot load" in str(answers["bad"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it said nothing"),
        ("working\n", "working"),
        ("Traceback\n  File x\nnncf.ValidationError: bad\n\n", "nncf.ValidationError: bad"),
        ("RuntimeError: x\ncleaning up\n", "RuntimeError: x"),
        ("edge-export: error: choose precision: no\n", "edge-export: error: choose precision: no"),
    ],
)
def test_the_line_that_says_why_is_found_in_a_log(text: str, words: str) -> None:
    assert export.last_words(text) == words


def test_an_environment_that_is_as_wanted_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def record(command: list[str], _name: str) -> str:
        calls.append(command)
        (tmp_path / "nncf").mkdir(exist_ok=True)
        return ""

    monkeypatch.setattr(environments, "_call", record)
    for _ in range(2):
        environments.install("nncf", tmp_path, lambda _: None)
    assert len(calls) == 2  # venv, pip; then nothing
    monkeypatch.setitem(ENVIRONMENTS, "nncf", Environment("nncf", (("nncf==9",),)))
    environments.install("nncf", tmp_path, lambda _: None)
    assert calls[-1][-1] == "nncf==9"


def test_no_environment_resolves_a_bare_torch() -> None:
    for environment in ENVIRONMENTS.values():
        for packages in environment.installs:
            assert "torch" not in packages
            assert not any(name.startswith("olive") for name in packages) or any("torch==" in n for n in packages)


def test_every_subject_has_facts_that_the_command_line_reads(tmp_path: Path) -> None:
    from edge_export.model.flags import read_facts_file

    for name, subject in SUBJECTS.items():
        (path := tmp_path / f"{name}.json").write_text(facts_of(subject))
        facts = read_facts_file(path)
        assert facts.preprocess == subject.preprocess
        assert facts.postprocess == subject.postprocess


def test_a_timing_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="timing ended"):
        children.time_in_child(tmp_path / "none.onnx", {}, tmp_path / "none.npz", 1)
