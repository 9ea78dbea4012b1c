"""A memory limit as the kernel sees it: every process of a run in a control group that may be charged no more."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import SCRIPTS
from confined import MemoryGroup, memory_group
from places import SAMPLE

from edge_devices.interpreter import python_code, python_environment
from edge_tools.damage.camera import sending

# The limits leave more than the runs need on a quiet machine: what the same libraries take in memory differed by 40 MB
# between two runs of the suite. The large pictures, 144 MB decoded, fit into none.
NG = np.asarray(cv2.imread(str(sorted((SAMPLE.parent / "images").glob("*.png"))[0]), cv2.IMREAD_GRAYSCALE))


def encoded(suffix: str, width: int, height: int) -> bytes:
    picture = cv2.cvtColor(cv2.resize(NG, (width, height), interpolation=cv2.INTER_NEAREST), cv2.COLOR_GRAY2BGR)
    return cv2.imencode(suffix, picture)[1].tobytes()


@contextlib.contextmanager
def edge_run(group: MemoryGroup, source: str, megabytes: int) -> Iterator[subprocess.Popen[str]]:
    module, function = SCRIPTS["edge-run"].split(":")
    command = python_code(f"import sys\nfrom {module} import {function}\nsys.exit({function}())")
    words = [str(SAMPLE), "--source", source, "--json", "--memory-limit", f"{megabytes}MB"]
    with subprocess.Popen(
        [*command, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=python_environment(),
        preexec_fn=group.join,
    ) as run:
        try:
            yield run
        finally:
            if run.poll() is None:
                run.kill()


def records_of(group: MemoryGroup, source: Path, megabytes: int) -> list[dict]:
    with edge_run(group, str(source), megabytes) as run:
        out, said = run.communicate()
    assert run.returncode == 0, said
    return [json.loads(line) for line in out.splitlines()]


def test_pictures_that_grow_stay_within_a_limit_that_the_kernel_enforces(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(encoded(".png", 640, 640))
    (tmp_path / "2.jpg").write_bytes(encoded(".jpg", 8000, 6000))
    (tmp_path / "3.png").write_bytes(encoded(".png", 8000, 6000))
    (tmp_path / "4.png").write_bytes(encoded(".png", 640, 640))
    with memory_group(200_000_000) as group:
        records = records_of(group, tmp_path, 200)
        assert group.kills == 0
        assert group.most_bytes < 200_000_000
    assert [record["verdict"] for record in records] == ["NG", "NG", "NO_READ", "NG"]
    assert "raise --memory-limit" in records[2]["reasons"][0]


@pytest.mark.skipif(find_spec("av") is None, reason="OpenCV decodes a picture before its size is known")
def test_a_film_that_grows_has_no_picture_larger_than_its_first(tmp_path: Path) -> None:
    film = tmp_path / "film.mjpeg"
    small = encoded(".jpg", 640, 640)
    film.write_bytes(small * 5 + encoded(".jpg", 8000, 6000) + small * 5)
    with memory_group(260_000_000) as group:
        records = records_of(group, film, 260)
        assert group.kills == 0
        assert group.most_bytes < 260_000_000
    large = [record for record in records if any("8000x6000" in reason for reason in record["reasons"])]
    assert [record["verdict"] for record in large] == ["NO_READ"]
    assert {record["verdict"] for record in records} == {"NG", "NO_READ"}
    assert records[0]["verdict"] == records[-1]["verdict"] == "NG"


def test_a_camera_whose_pictures_grow_goes_on_with_those_that_do_not() -> None:
    parts = [*[encoded(".jpg", 640, 640)] * 4, encoded(".jpg", 8000, 6000), encoded(".png", 4000, 3000)]
    wanted = {"8000x6000", "4000x3000"}
    after = 0
    with (
        memory_group(260_000_000) as group,
        sending(parts, 5.0) as camera,
        edge_run(group, camera.url, 260) as run,
    ):
        assert run.stdout is not None
        for line in run.stdout:
            record = json.loads(line)
            assert "died" not in " ".join(record["reasons"])
            assert record["verdict"] in ("NG", "NO_READ")
            wanted -= {size for size in wanted if any(size in reason for reason in record["reasons"])}
            after += not wanted and record["verdict"] == "NG"
            if after == 3:
                break
        run.send_signal(signal.SIGTERM)
        run.communicate()
        assert group.kills == 0
        assert group.most_bytes < 260_000_000
    assert after == 3
