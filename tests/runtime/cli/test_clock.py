"""A wall clock that is set while a camera is recorded: nothing but the times in the records follows it."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import SCRIPTS
from places import SAMPLE

from edge_devices.interpreter import python_code, python_environment
from edge_runtime.errors import UsageError
from edge_tools.damage.camera import sending
from edge_tools.station.troubles.shim import Shim

DAY = 24 * 3600
PICTURES = [path.read_bytes() for path in sorted((SAMPLE.parent / "images").glob("*.png"))]
EACH = 15  # pictures that are judged before the clock is set, and after


@pytest.fixture
def shim(tmp_path: Path) -> Shim:
    try:
        return Shim(tmp_path, tmp_path / "nothing")
    except (UsageError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no shim: {error}")


@pytest.mark.parametrize("jump", [30 * DAY, -30 * DAY])
def test_a_wall_clock_that_is_set_changes_neither_the_rate_nor_the_film(tmp_path: Path, shim: Shim, jump: int) -> None:
    parts = [cv2.imencode(".jpg", cv2.imdecode(np.frombuffer(data, np.uint8), 1))[1].tobytes() for data in PICTURES]
    module, function = SCRIPTS["edge-run"].split(":")
    command = python_code(f"import sys\nfrom {module} import {function}\nsys.exit({function}())")
    environment = {**python_environment(), **shim.environment}
    records: list[dict] = []
    sent: list[int] = []
    judged = 0
    with sending(parts, 8.0) as camera:
        words = [str(SAMPLE), "--source", camera.url, "--json", "--save", "--save-txt", "--output", "out"]
        with subprocess.Popen(
            [*command, *words],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as run:
            assert run.stdout is not None
            for line in run.stdout:
                records.append(json.loads(line))
                if records[-1]["verdict"] == "NO_READ":  # on a machine that is too busy for the camera
                    continue
                judged += 1
                if judged in (1, EACH, 2 * EACH):
                    sent.append(camera.sent)
                if judged == EACH:
                    shim.set_clock(jump)
                if judged == 2 * EACH:
                    run.send_signal(signal.SIGTERM)
    before, after = sent[1] - sent[0], sent[2] - sent[1]
    assert after < 3 * before, "fewer of the camera's pictures are judged than before"

    times = [datetime.fromisoformat(record["ts_utc"].replace("Z", "+00:00")).timestamp() for record in records]
    steps = [late - early for early, late in itertools.pairwise(times)]
    jumps = [step for step in steps if abs(step) > DAY]
    assert len(jumps) == 1
    assert jumps[0] == pytest.approx(jump, abs=60)
    assert all(step >= 0 for step in steps if abs(step) < DAY)

    films = list((tmp_path / "out").rglob("*.mp4"))
    assert len(films) == 1
    film = cv2.VideoCapture(str(films[0]))
    count, fps = int(film.get(cv2.CAP_PROP_FRAME_COUNT)), film.get(cv2.CAP_PROP_FPS)
    film.release()
    seconds = sum(step for step in steps if abs(step) < DAY) + jumps[0] - jump
    assert count == pytest.approx(max(seconds * fps, len(records)), abs=len(records) / 5 + 3)
    labels = list((tmp_path / "out").rglob("*.txt"))
    assert len(labels) >= sum(record["verdict"] == "NG" for record in records)
