"""A command that stands: what a user's machine can lack or have broken, each with what that user would expect."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import SCRIPTS
from places import ROOT, SAMPLE

from edge_devices.interpreter import python_code, python_environment
from edge_runtime.files.folders import trusted_cache_root

BELT = ROOT / "samples" / "pcb" / "belt.mp4"
IMAGE = sorted((ROOT / "samples" / "pcb" / "images").iterdir())[0]
FRAMES = 12


def command_of(name: str = "edge-run") -> list[str]:
    module, function = SCRIPTS[name].split(":")
    return python_code(f"import sys\nfrom {module} import {function}\nsys.exit({function}())")


def run(
    *arguments: str,
    closed: tuple[int, ...] = (),
    limits: dict[int, int] | None = None,
    stdout: int | Path | None = subprocess.PIPE,
    name: str = "edge-run",
    **variables: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run a console script with descriptors closed and limits set as a shell would."""

    def before() -> None:
        for what, most in (limits or {}).items():
            resource.setrlimit(what, (most, most))
        for number in closed:
            os.close(number)

    with contextlib.ExitStack() as stack:
        out = stack.enter_context(stdout.open("wb")) if isinstance(stdout, Path) else stdout
        return subprocess.run(
            [*command_of(name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            env={**python_environment(), **variables},
            preexec_fn=before,
            check=False,
        )


def records(output: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.decode("utf-8").splitlines()]


def quiet(done: subprocess.CompletedProcess[bytes]) -> bool:
    return b"Traceback" not in (done.stderr or b"") and b"Exception ignored" not in (done.stderr or b"")


@pytest.mark.parametrize("closed", [(1,), (2,)])
def test_closed_descriptors_are_dev_null_and_results_are_saved(tmp_path: Path, closed: tuple[int, ...]) -> None:
    output = tmp_path / "out"
    done = run(
        str(SAMPLE), "--source", str(BELT), "--max-frames", str(FRAMES), "--json", "--save", "--save-txt",
        "--output", str(output), closed=closed,
    )  # fmt: skip
    assert done.returncode == 0
    assert quiet(done)
    assert (output / "belt.mp4").stat().st_size > 1000
    assert len(list((output / "labels").iterdir())) == FRAMES
    assert len(records(done.stdout)) == (0 if 1 in closed else FRAMES)


def test_nothing_that_is_printed_gets_into_a_file_of_the_run(tmp_path: Path) -> None:
    done = run(str(SAMPLE), "--source", str(IMAGE), "--save", "--output", str(tmp_path / "o"), closed=(0, 1, 2))
    assert done.returncode == 0
    (saved,) = (tmp_path / "o").iterdir()
    assert saved.read_bytes()[:2] in (b"\xff\xd8", b"\x89P")


@pytest.mark.parametrize("name", ["edge-export", "edge-tune"])
def test_a_command_s_help_stands_with_descriptors_closed(name: str) -> None:
    pytest.importorskip("onnx")
    done = run("--help", closed=(0, 1, 2), name=name)
    assert done.returncode == 0
    assert quiet(done)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8:surrogateescape"])
def test_records_are_json_in_utf_8_whatever_the_terminal_writes(tmp_path: Path, encoding: str) -> None:
    pictures = tmp_path / "Leiterplatte \N{LATIN SMALL LETTER U WITH DIAERESIS}\N{SNOWMAN}"
    pictures.mkdir()
    (pictures / "\N{GREEK SMALL LETTER OMEGA}\N{GRINNING FACE}.jpg").write_bytes(IMAGE.read_bytes())
    with contextlib.suppress(OSError):  # a file system that wants UTF-8
        (Path(os.fsdecode(os.fsencode(pictures) + b"/\xff\xfe.jpg"))).write_bytes(IMAGE.read_bytes())
    done = run(str(SAMPLE), "--source", str(pictures), "--json", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    found = {str(record["image"]) for record in records(done.stdout)}
    assert found == {os.fsencode(path).decode("utf-8", "backslashreplace") for path in pictures.iterdir()}


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_words_are_written_to_any_terminal(tmp_path: Path, variables: dict[str, str]) -> None:
    picture = tmp_path / "\N{GREEK SMALL LETTER OMEGA}\N{MULTIPLICATION SIGN}\N{RIGHTWARDS ARROW}.jpg"
    picture.write_bytes(IMAGE.read_bytes())
    done = run(str(SAMPLE), "--source", str(picture), "--no-json", **variables)
    assert done.returncode == 0
    assert quiet(done)
    assert b"image 1/1" in done.stdout
    missing = run(str(tmp_path / "\N{SNOWMAN}.edge"), "--source", str(picture), **variables)
    assert missing.returncode == 3
    assert missing.stderr.startswith(b"error: ")
    assert quiet(missing)


def test_a_full_disk_under_standard_output_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    done = run(str(SAMPLE), "--source", str(BELT), "--json", stdout=Path("/dev/full"))
    assert done.returncode == 7
    assert b"cannot write standard output" in done.stderr
    assert quiet(done)


def test_a_full_disk_under_standard_error_changes_no_verdict() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("wb") as full:
        arguments = [*command_of(), str(SAMPLE), "--source", str(IMAGE), "--json"]
        done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=full, env=python_environment(), check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "NG"


@pytest.mark.skipif(sys.platform != "linux", reason="pictures of a film go through memory that counts as a file")
def test_a_limit_of_files_sizes_is_told_as_that() -> None:
    arguments = (str(SAMPLE), "--source", str(BELT), "--json", "--max-frames", "2", "--no-cache")
    done = run(*arguments, limits={resource.RLIMIT_FSIZE: 200_000})
    assert b"more than a file may have (ulimit -f)" in done.stdout
    assert quiet(done)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep to RLIMIT_AS")
@pytest.mark.parametrize("megabytes", [200, 350, 450])
def test_too_little_address_space_is_told_as_that(megabytes: int) -> None:
    arguments = (str(SAMPLE), "--source", str(IMAGE), "--json", "--no-cache")
    done = run(*arguments, limits={resource.RLIMIT_AS: megabytes << 20, resource.RLIMIT_CORE: 0})
    assert b"is not installed" not in done.stderr
    assert quiet(done)
    if done.returncode != 0:
        assert done.returncode in (5, 9, 12)
        assert b"ulimit -v" in done.stderr


def test_too_few_descriptors_are_told_as_that() -> None:
    for most in (6, 10):
        done = run(str(SAMPLE), "--source", str(BELT), "--json", limits={resource.RLIMIT_NOFILE: most})
        assert quiet(done), (most, done.stderr)
        assert done.returncode == 0 or b"ulimit -n" in done.stderr, (most, done.stderr)


@contextlib.contextmanager
def running(*arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*command_of(), *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**python_environment(), **variables},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def heard(number: signal.Signals) -> Iterator[None]:
    """What is started within hears a signal, even where these tests themselves run under nohup."""
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ((signal.SIGHUP, signal.SIGHUP), 129),
        ((signal.SIGTERM, signal.SIGHUP), 143),
        ((signal.SIGINT,), 130),
    ],
)
def test_a_hang_up_ends_a_run_as_sigterm_does(tmp_path: Path, signals: tuple[signal.Signals, ...], code: int) -> None:
    output = tmp_path / "out"
    with (
        heard(signal.SIGHUP),
        running(
            str(SAMPLE), "--source", str(BELT), "--realtime", "--save", "--json", "--output", str(output)
        ) as process,
    ):
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline()
        for number in signals:
            process.send_signal(number)
        rest, said = process.communicate()
    assert process.returncode == code
    assert [path.name for path in output.iterdir()] == ["belt.mp4"]
    assert b"frames in" in said
    assert b"Traceback" not in said + rest


def test_a_run_under_nohup_does_not_hear_a_hang_up(tmp_path: Path) -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    arguments = [str(SAMPLE), "--source", str(BELT), "--realtime", "--json", "--max-frames", str(FRAMES)]
    with subprocess.Popen(
        [*python_code(ignoring), *command_of(), *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=python_environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.communicate()
    assert process.returncode == 0


def another_user_s(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    folder.chmod(0o700)


def everybody_s(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def a_file(folder: Path) -> None:
    folder.write_text("no folder")


@pytest.mark.parametrize("make", [another_user_s, everybody_s, a_file])
@pytest.mark.parametrize("limit", [(), ("--memory-limit", "250MB")])
def test_a_cache_that_cannot_be_trusted_is_said_once_and_not_used(
    tmp_path: Path, make: Callable[[Path], None], limit: tuple[str, ...]
) -> None:
    make(tmp_path / "edgeline")
    done = run(str(SAMPLE), "--source", str(IMAGE), "--json", *limit, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0
    assert len(records(done.stdout)) == 1
    assert done.stderr.count(b"running without the cache of prepared models: ") == 1
    assert not (tmp_path / "edgeline").is_dir() or list((tmp_path / "edgeline").iterdir()) == []


def test_a_new_cache_is_for_its_user_alone(tmp_path: Path) -> None:
    done = run(str(SAMPLE), "--source", str(IMAGE), "--memory-limit", "250MB", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0
    assert b"running without" not in done.stderr
    assert (tmp_path / "edgeline" / "prepared").stat().st_mode & 0o777 == 0o700


def test_a_base_that_everybody_can_write_is_trusted_where_names_are_protected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tmp_path.chmod(0o1777)
    assert trusted_cache_root() == tmp_path / "edgeline" / "prepared"
