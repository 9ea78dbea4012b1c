"""The edge-run command from its arguments to its exit code, with an engine that has no model."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_bundle import make_bundle
from web_cameras import Camera

from edge_runtime.cli import run as cli
from edge_runtime.cli.console import run_command
from edge_runtime.cli.sample import Sample, find_sample
from edge_runtime.errors import EngineError, MemoryLimitError
from edge_runtime.inspect import opening, room
from edge_runtime.inspect.fake_engine import FakeEngine, fake_ng, fake_ok
from edge_runtime.ort.session import SessionOptions
from edge_runtime.results import Result

PNG = cv2.imencode(".png", np.full((48, 64, 3), 200, np.uint8))[1].tobytes()


class Opened:
    """Stands in for open_bundle: remembers how it was called, answers with an engine."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.bundle = Path()
        self.settings: dict[str, Any] = {}

    def __call__(self, path: Path, session: SessionOptions, **settings: Any) -> FakeEngine:
        self.bundle = path
        self.settings = {"device": session.device, "threads": session.threads, "session": session, **settings}
        return self.engine


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Opened:
    stand_in = Opened(FakeEngine([fake_ok(), fake_ng()]))
    monkeypatch.setattr(opening, "open_bundle", stand_in)
    real = cli.bundle_sha256
    monkeypatch.setattr(cli, "bundle_sha256", lambda path: real(path) if path.name == "none.edge" else "f" * 64)
    monkeypatch.chdir(tmp_path)
    return stand_in


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    folder = tmp_path / "boards"
    folder.mkdir()
    for name in ("b1.png", "b2.png", "b10.png"):
        (folder / name).write_bytes(PNG)
    return folder


def edge_run(*args: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        run_command(cli.edge_run, "edge-run", [str(arg) for arg in args])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def records(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_json_lines_go_to_a_pipe_and_the_summary_to_stderr(
    opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run("my.edge", "--source", boards) == 0
    output = capsys.readouterr()
    assert [Path(record["image"]).name for record in records(output.out)] == ["b1.png", "b2.png", "b10.png"]
    assert [record["verdict"] for record in records(output.out)] == ["OK", "NG", "OK"]
    assert "3 frames" in output.err
    assert "p95" in output.err
    assert opened.engine.closed


def test_readable_lines_on_request(opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge_run("my.edge", "--source", boards, "--no-json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"fake 1 (int8 100 %) on {boards}"
    assert lines[1].startswith("device: ")
    assert lines[2].startswith("settings: ")
    assert lines[4].startswith("image 2/3 b2.png: NG  open x1  ")
    assert "OK 2  NG 1  NO_READ 0" in lines[6]


def test_flags_reach_the_engine(opened: Opened, boards: Path) -> None:
    flags = [
        "--conf",
        "0.3",
        "--iou",
        "0.6",
        "--max-det",
        "7",
        "--classes",
        "open,1",
        "--device",
        "cpu",
        "--threads",
        "2",
        "--batch",
        "2",
    ]
    assert edge_run("my.edge", "--source", boards, *flags) == 0
    assert opened.bundle == Path("my.edge")
    expected = {
        "device": "cpu",
        "threads": 2,
        "confidence": 0.3,
        "iou": 0.6,
        "max_det": 7,
        "classes": ["open", "1"],
        "memory_limit": None,
        "batch": 2,
        "use_cache": True,
        "lock_memory": False,
    }
    assert {name: opened.settings[name] for name in expected} == expected
    assert opened.engine.batches == [2, 1]


def test_a_broken_image_is_reported_and_the_rest_goes_on(
    opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (boards / "b2.png").write_bytes(PNG[:-20])
    assert edge_run("my.edge", "--source", boards) == 0
    output = capsys.readouterr()
    assert [record["verdict"] for record in records(output.out)] == ["OK", "NO_READ", "NG"]
    assert records(output.out)[1]["reasons"][0].startswith("cannot decode: b2.png")
    assert "failed   cannot decode: b2.png" in output.err


def test_a_run_in_which_nothing_could_be_read_is_a_data_error(
    opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in boards.iterdir():
        path.write_bytes(b"")
    assert edge_run("my.edge", "--source", boards) == 6
    assert "error: none of the 3 frames could be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("results", "broken", "code"),
    [([fake_ok()], False, 0), ([fake_ng()], False, 10), ([fake_ok()], True, 11), ([fake_ng()], True, 10)],
)
def test_the_exit_code_tells_the_verdicts_when_asked(
    opened: Opened, boards: Path, results: Sequence[Result], broken: bool, code: int
) -> None:
    opened.engine = FakeEngine(results)
    if broken:
        (boards / "b2.png").write_bytes(b"")
    assert edge_run("my.edge", "--source", boards, "--exit-code") == code


def test_good_pictures_are_learnt_and_looked_for(
    opened: Opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, random = tmp_path / "good", np.random.default_rng(0)
    folder.mkdir()
    scene = cv2.resize(random.integers(0, 256, (12, 16, 3), np.uint8), (320, 240), interpolation=cv2.INTER_NEAREST)
    for number in range(6):
        picture = np.clip(scene + random.normal(0, 1, scene.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    assert edge_run("--source", folder, "--learn-health", "limits.json") == 0
    assert capsys.readouterr().out.startswith("learnt from 6 pictures: ")
    (folder / "0.png").write_bytes(cv2.imencode(".png", cv2.blur(picture, (15, 15)))[1].tobytes())
    assert edge_run("my.edge", "--source", folder, "--health", "limits.json", "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["verdict"] for record in records] == ["NO_READ", "OK", "NG", "OK", "NG", "OK"]
    assert records[0]["reasons"][0].startswith("out of focus: ")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--health", "maybe"], "neither on, off, auto nor a file"),
        (["--health", "off", "--frozen-seconds", "30"], "leave out --frozen-seconds"),
        (["--health", "boards/b1.png"], "holds no limits"),
        (["--learn-health", "limits.json", "--max-frames", "2"], "b1.png shows nothing: uniform: gray 200"),
    ],
)
def test_a_mistake_about_health_is_one_line(
    flags: list[str], said: str, opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run("my.edge", "--source", boards, *flags) in (2, 6)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_max_frames_ends_the_run(opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge_run("my.edge", "--source", boards, "--max-frames", "2") == 0
    assert len(records(capsys.readouterr().out)) == 2


def test_everything_is_saved_into_one_new_folder(
    opened: Opened, boards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for expected in ("runs/fake", "runs/fake-2"):
        opened.engine = FakeEngine([fake_ok(), fake_ng(), fake_ok()])
        assert edge_run("my.edge", "--source", boards, "--save", "--save-txt", "--save-crop") == 0
        assert f"saved    annotated images in {expected}" in capsys.readouterr().err
        found = sorted(str(p.relative_to(expected)) for p in Path(expected).rglob("*.*"))
        labels = ["labels/b1.txt", "labels/b10.txt", "labels/b2.txt"]
        assert found == ["b1.png", "b10.png", "b2.png", "crops/open/b2_0.jpg", *labels]


def test_output_alone_means_save(opened: Opened, boards: Path, tmp_path: Path) -> None:
    assert edge_run("my.edge", "--source", boards, "--output", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


def test_an_output_folder_with_files_is_refused_before_anything_runs(
    opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run("my.edge", "--source", boards, "--output", boards) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert opened.engine.batches == []


def test_an_output_folder_that_cannot_be_made_is_code_7(
    opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run("my.edge", "--source", boards, "--output", boards / "b1.png" / "out") == 7
    assert capsys.readouterr().err.startswith("error: cannot write")


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["my.edge"], 2, "add --source"),
        (["photo.jpg"], 2, "edge-run BUNDLE --source photo.jpg"),
        (["boards"], 2, "something to look at, not a bundle"),
        (["my.edge", "b.png", "--source", "a.png"], 2, "quotes"),
        (["b.png", "--source", "a.png"], 2, "quotes"),
        (["my.edge", "--source", "gone.png"], 5, "no such image"),
        (["my.edge", "--source", "boards/*.jpg"], 5, "no images match"),
        (["my.edge", "--source", "rtsp://me:secret@/x"], 5, "cannot look at rtsp://***@/x: it names no host"),
        (["my.edge", "--source", "ftp://me:secret@cam/x"], 5, "unknown kind of URL: ftp://***@cam/x"),
        (["rtsp://me:secret@cam/x?secret"], 2, "edge-run BUNDLE --source rtsp://***@cam/x?***"),
        (["my.edge", "--source", "boards", "--conf", "30"], 2, "--conf"),
    ],
)
def test_a_mistake_is_one_line_that_helps(
    opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: int, says: str
) -> None:
    assert edge_run(*args) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert says in output.err
    assert "secret" not in output.err


def test_no_secret_of_a_camera_is_printed_recorded_or_in_the_name_of_a_file(
    opened: Opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    seen: list[str] = []

    def serve(stream: socket.socket, head: str) -> None:
        if "Authorization: Basic" in head:
            seen.append(base64.b64decode(head.partition("Basic ")[2].split()[0]).decode())
            answer = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n" + picture * 3
        elif seen:
            answer = b"HTTP/1.1 500 for " + head.splitlines()[0].encode() + b"\r\n\r\n"
        else:
            answer = b'HTTP/1.1 401 for you\r\nWWW-Authenticate: Basic realm="hidden1"\r\n\r\n'
        stream.sendall(answer)

    camera = Camera(serve)
    url = f"http://hidden1@corp:hidden2/a@b?c#@{camera.place}/video?user=hidden3&password=hidden4"
    asked = ("my.edge", "--source", url, "--save", "--save-txt", "--output", tmp_path / "out", "--json")
    assert edge_run(*asked, "--reconnect-seconds", "0") == 5
    camera.close()
    assert seen == ["hidden1@corp:hidden2/a@b?c#"]
    output = capsys.readouterr()
    assert records(output.out)[0]["source"] == f"http://***@{camera.place}/video?***"
    files = [str(path) for path in (tmp_path / "out").rglob("*")]
    assert len(files) > 1
    assert "hidden" not in output.out + output.err + " ".join(files)


def test_a_camera_that_is_off_is_waited_for_as_long_as_was_said(
    opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run("my.edge", "--source", "63", "--reconnect-seconds", "0", "--json") == 5
    output = capsys.readouterr()
    (record,) = records(output.out)
    assert record["verdict"] == "NO_READ"
    assert record["reasons"][0].startswith("camera 63 is not there yet: given up after 1 attempt")
    assert output.err.startswith("waiting for camera 63: ")
    assert "error: cannot open camera 63: " in output.err


def test_an_engine_that_fails_ends_with_the_summary_of_what_was_done(
    opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(images: Sequence[np.ndarray]) -> list[Result]:
        raise EngineError("out of memory")

    monkeypatch.setattr(opened.engine, "run", fail)
    assert edge_run("my.edge", "--source", boards) == 9
    text = capsys.readouterr().err
    assert text.startswith("0 frames")
    assert text.endswith("error: out of memory\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_the_summary_and_a_whole_video(
    opened: Opened,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for _ in range(9):
        writer.write(np.full((48, 64, 3), 200, np.uint8))
    writer.release()
    answer = opened.engine.run

    def interrupted(images: Sequence[np.ndarray]) -> list[Result]:
        if len(opened.engine.batches) == 3:
            signal.raise_signal(number)
        return answer(images)

    monkeypatch.setattr(opened.engine, "run", interrupted)
    assert edge_run("my.edge", "--source", tmp_path / "v.mp4", "--output", tmp_path / "out") == code
    assert "4 frames" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["v.mp4"]
    assert cv2.VideoCapture(str(tmp_path / "out/v.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 4


def make_sample(place: Path) -> None:
    (place / "pcb.edge").mkdir(parents=True)
    (place / "images").mkdir()
    (place / "images/board.png").write_bytes(PNG)


def test_the_sample_is_found_in_a_checkout_and_in_a_wheel(tmp_path: Path) -> None:
    package = tmp_path / "runtime/edge_runtime"
    make_sample(package / "_sample")
    assert find_sample(package).bundle == package / "_sample/pcb.edge"
    make_sample(tmp_path / "samples/pcb")
    assert find_sample(package).images == tmp_path / "samples/pcb/images"


def test_no_arguments_run_the_sample(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_sample(tmp_path / "s")
    sample = Sample(tmp_path / "s/pcb.edge", tmp_path / "s/images")
    monkeypatch.setattr(cli, "find_sample", lambda: sample)
    assert edge_run() == 0
    assert opened.bundle == sample.bundle
    assert edge_run(sample.bundle) == 0
    assert len(records(capsys.readouterr().out)) == 2


def test_a_missing_sample_says_where_it_was_looked_for(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "find_sample", lambda: find_sample(tmp_path / "a/b"))
    assert edge_run() == 5
    assert "_sample" in capsys.readouterr().err


PROGRAM = """
import edge_runtime.cli.run as cli
import edge_runtime.inspect.opening as opening
from edge_runtime.inspect.fake_engine import FakeEngine
opening.open_bundle = lambda *args, **settings: FakeEngine()
cli.bundle_sha256 = lambda path: "f" * 64
cli.main()
"""


def process(boards: Path, tail: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, in a shell, with `tail` behind it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PROGRAM": PROGRAM}
    script = f'set -o pipefail; "{sys.executable}" -c "$PROGRAM" my.edge --source "{boards}" {tail}'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=False)


def test_a_reader_that_goes_away_ends_the_run_quietly(boards: Path) -> None:
    for number in range(20, 200):
        (boards / f"b{number}.png").write_bytes(PNG)
    done = process(boards, "| head -1")
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("mode", ["--json", "--no-json"])
def test_a_full_disk_behind_stdout_is_code_7_and_no_traceback(boards: Path, mode: str) -> None:
    done = process(boards, f"{mode} > /dev/full")
    assert done.returncode == 7
    assert done.stderr.splitlines()[-1].startswith("error: cannot write standard output")
    assert "Traceback" not in done.stderr


def test_a_source_whose_name_is_too_long_is_a_source_error(opened: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge_run("my.edge", "--source", "x" * 5000) == 5
    assert capsys.readouterr().err.startswith("error: cannot look at")


def test_a_bundle_whose_name_is_too_long_is_a_bundle_error(boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge_run("x" * 5000, "--source", boards) == 3
    assert capsys.readouterr().err.startswith("error: no bundle at")
    assert edge_run("x" * 5000) == 2


def test_a_bundle_that_is_a_link_to_itself_is_a_bundle_error(boards: Path, tmp_path: Path) -> None:
    (tmp_path / "loop.edge").symlink_to(tmp_path / "loop.edge")
    assert edge_run(tmp_path / "loop.edge", "--source", boards) == 3
    assert edge_run(tmp_path / "loop.edge") == 2


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def limited(tiny: Path, opened: Opened) -> Path:
    """A real bundle, which is looked at before its source is opened; what runs it is the engine of the test."""
    return tiny


def test_a_memory_limit_reaches_the_engine_with_what_frames_take(limited: Path, opened: Opened, boards: Path) -> None:
    flags = ["--memory-limit", "160MB", "--lock-memory", "--no-cache", "--batch", "2"]
    assert edge_run(limited, "--source", boards, *flags) == 0
    expected = {"memory_limit": 160_000_000, "batch": 2, "use_cache": False, "lock_memory": True, "prepare": True}
    assert {name: opened.settings[name] for name in expected} == expected
    assert opened.settings["reserve_bytes"] == room.RUN_BYTES + room.FRAME_COPIES * 2 * 48 * 64 * 3


def test_preparing_may_be_given_more_than_the_run(limited: Path, opened: Opened, boards: Path) -> None:
    flags = ["--memory-limit", "160MB", "--prepare-limit", "1GB"]
    assert edge_run(limited, "--source", boards, *flags) == 0
    assert (opened.settings["memory_limit"], opened.settings["prepare_limit"]) == (160_000_000, 1_000_000_000)


def test_a_limit_for_preparing_alone_is_refused(tiny: Path, boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge_run(tiny, "--source", boards, "--prepare-limit", "1GB") == 2
    assert "--prepare-limit is for preparing a bundle for a --memory-limit" in capsys.readouterr().err


def test_without_a_limit_nothing_is_reserved(opened: Opened, boards: Path) -> None:
    assert edge_run("my.edge", "--source", boards) == 0
    assert (opened.settings["memory_limit"], opened.settings["reserve_bytes"]) == (None, 0)


def test_every_frame_is_judged_once_with_a_limit_too(
    limited: Path, opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run(limited, "--source", boards, "--memory-limit", "1.5GiB") == 0
    output = capsys.readouterr()
    assert [Path(record["image"]).name for record in records(output.out)] == ["b1.png", "b2.png", "b10.png"]
    assert any(line.startswith("memory   peak ") for line in output.err.splitlines())
    assert output.err.splitlines()[-1].endswith("within the limit of 1.6 GB")


def test_without_a_limit_the_summary_says_nothing_of_memory(
    opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run("my.edge", "--source", boards) == 0
    assert "memory" not in capsys.readouterr().err


@pytest.mark.parametrize("size", ["much", "", "160 M B", "-1"])
@pytest.mark.parametrize("explain", [(), ("--explain",)])
def test_a_limit_that_is_no_size_is_a_usage_error(
    limited: Path, boards: Path, size: str, explain: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run(limited, "--source", boards, f"--memory-limit={size}", *explain) == 2
    assert capsys.readouterr().err.startswith("error: expected a size such as 160MB or 1.5GiB, found")


def test_a_limit_that_is_too_small_is_code_12_in_one_line(
    limited: Path, boards: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_args: Any, progress: Any, **_settings: Any) -> None:
        progress("block 1 of 3", 0, 3)
        raise MemoryLimitError("a limit of 1.0 MB cannot be met", 90_000_000)

    monkeypatch.setattr(opening, "open_bundle", refuse)
    assert edge_run(limited, "--source", boards, "--memory-limit", "1MB") == 12
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "error: a limit of 1.0 MB cannot be met"
    assert lines[0] == "preparing the model for this machine, once ..."
    assert len(lines) == 3


def test_a_bundle_that_is_none_is_told_before_its_source_is_opened(
    opened: Opened, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run("none.edge", "--source", boards, "--memory-limit", "160MB") == 3
    assert capsys.readouterr().err.startswith("error: no bundle at")


def test_the_plan_is_explained_as_a_table_and_nothing_is_run(
    tiny: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--explain", "--memory-limit", "2GB", "--threads", "1", "--no-cache"]
    assert edge_run(tiny, *flags) == 0
    output = capsys.readouterr()
    assert "2.0 GB" in output.out
    assert "ms" in output.out
    assert output.err.startswith("preparing the model for this machine, once ...")
    assert opened.engine.batches == []


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["a.edge", "b.edge"], 2, "expected one bundle to explain, found a.edge, b.edge"),
        (["none.edge"], 3, "no bundle at"),
        (["none.edge", "--threads", "0"], 2, "--threads"),
        (["none.edge", "--device", "abacus"], 2, "abacus"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    args: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run(*args, "--explain") == code
    output = capsys.readouterr()
    assert says in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        (("--batch", "2"), "leave out --batch"),
        (("--lanes", "2"), "leave out --lanes"),
        (("--source", "0"), "leave out --source"),
        (("--explain",), "leave out --source and --explain"),
    ],
)
def test_flags_that_verify_would_ignore_are_refused(
    flag: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run("none.edge", "--verify", *flag) == 2
    assert says in capsys.readouterr().err
