"""Each trouble once or twice; `python -m edge_tools.station.troubles` is the proof."""

import contextlib
import json
import shutil

import pytest
from store_cases import event

from edge_runtime.errors import UsageError
from edge_runtime.outputs.base import published
from edge_runtime.store.entries import Batch
from edge_runtime.store.opening import open_store
from edge_runtime.store.reading import open_reader
from edge_tools.damage.rtsp import missing
from edge_tools.station.troubles.__main__ import PARTS
from edge_tools.station.troubles.decoder import hold_film
from edge_tools.station.troubles.running import Dropping, Found, hold, truth_of
from edge_tools.station.troubles.sizes import Turn, hold_turns

CAMERA = None if missing() else "mjpeg"


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return truth_of(tmp_path_factory.mktemp("truth") / "judged")


def test_the_truth_of_the_sample_is_of_both_kinds(truth):
    assert set(truth.values()) == {"OK", "NG"}


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_lost_told_twice_or_made_up(tmp_path, truth, part):
    if part in ("clock", "ro") and shutil.which("gcc") is None:
        pytest.skip("no gcc")
    try:
        found = PARTS[part](tmp_path, 2, 1, CAMERA, truth)
    except UsageError as error:
        if "mounted" in str(error) or "no camera" in str(error):
            pytest.skip(str(error))
        raise
    assert found.wrong == []
    assert found.times == (2 if part == "sizes" else 1)
    assert found.states or (part, CAMERA) == ("decoder", None)


def made(number, verdict="NG", **more):
    """An event of the film, or of a camera."""
    reasons = ["the process that reads it died of SIGKILL"] if verdict == "NO_READ" else ["short x1"]
    return {"verdict": verdict, "reasons": reasons, "frame_id": number, **more}


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([made(0), made(1, "OK")], ""),
        ([made(0, "NO_READ"), made(1, "OK")], ""),
        ([made(0)], "picture 1 of the film has none"),
        ([made(0), made(1, "OK"), made(1, "OK")], "picture 1 of the film has 2 verdicts"),
        ([made(0, "OK"), made(1, "OK")], "picture 0 of the film is OK"),
        ([made(0, "NO_READ"), made(1, "NO_READ")], "2 pictures of the film were not seen, at 1 kills"),
        ([made(0), {**made(1, "NO_READ"), "reasons": ["black"]}], "a picture is NO_READ: ['black']"),
    ],
)
def test_what_would_be_wrong_with_a_film_is_found(events, fault):
    found = Found("kills", times=1)
    hold_film(events, 2, ["NG", "OK"], found)
    assert fault in " ".join(found.wrong)
    assert bool(fault) == bool(found.wrong)


@pytest.mark.parametrize(
    ("size", "verdict", "taken_s", "fault"),
    [
        ((8, 8), "NG", 9.0, ""),
        ((8, 8), "NO_READ", 99.0, ""),
        ((8, 8), "OK", 9.0, "it shows a part that is NG"),
        ((8, 8), "NG", 13.0, "came 3.0 s after"),
        ((9, 8), "NG", 9.0, "which no camera showed"),
    ],
)
def test_what_would_be_wrong_with_a_camera_that_changes_is_found(size, verdict, taken_s, fault):
    found = Found("restarts")
    one = made(0, verdict, picture={"width": size[0], "height": size[1]}, clock={"taken_s": taken_s})
    hold_turns([one], [Turn((8, 8), "NG", 10.0)], found)
    assert fault in " ".join(found.wrong)
    assert bool(fault) == bool(found.wrong)


def test_what_would_be_wrong_with_parts_that_came_is_found(tmp_path):
    dropping = Dropping(tmp_path)
    dropping.drop(2)
    names = sorted(path.name for path in (tmp_path / "in").iterdir())
    truth = {name.partition("-")[2]: "NG" for name in names}

    def said(*verdicts):
        found = Found("drops")
        dropping.hold([made(0, verdict, image=f"in/{name}") for name, verdict in verdicts], truth, found)
        return " ".join(found.wrong)

    first, second = names
    assert said((first, "NG"), (second, "NG")) == ""
    assert "2 parts came, and 1 have a verdict" in said((first, "NG"))
    assert f"{first} has 2 verdicts" in said((first, "NG"), (first, "NG"), (second, "NG"))
    assert f"{second} is OK" in said((first, "NG"), (second, "OK"))


def test_what_is_told_and_not_stored_is_found(tmp_path):
    store = open_store(tmp_path / "store", print)
    store.ledger.append(Batch((event(0), event(1))))
    store.close()
    with contextlib.closing(open_reader(tmp_path / "store")) as reader:
        lines = [json.dumps(published(reader.event(event(number).event_id))) + "\n" for number in (0, 1)]

    def said(text, whole=True):
        (tmp_path / "told.jsonl").write_text(text)
        found = Found("anything")
        hold(tmp_path, found, "now", whole)
        assert found.events == 2
        return " ".join(found.wrong)

    assert said("".join(lines)) == said(lines[0], whole=False) == ""
    assert "1 are told of 2" in said(lines[0])
    assert "told twice" in said(lines[0] + "".join(lines))
    assert "not in the store" in said(lines[0].replace('"OK"', '"NG"') + lines[1])
