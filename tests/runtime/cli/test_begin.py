"""What a command does before it imports anything heavy."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.cli.begin import read_ahead
from edge_runtime.inspect.reader import life


@pytest.mark.parametrize(
    ("words", "begun"),
    [
        ("board.edge --source film.mp4", 1),
        ("board.edge --source=film.mp4 --json", 1),
        ("board.edge --source a.png --source rtsp://cam/1", 1),
        ("board.edge --source 0 --source 1", 1),
        ("board.edge --source a.png", 0),
        ("board.edge --source FOLDER", 0),
        ("board.edge --source", 0),
        ("--help", 0),
        ("", 0),
    ],
)
def test_the_reader_begins_with_the_command_where_something_may_move(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str, begun: int
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(life, "begin_ahead", lambda: calls.append(1))
    read_ahead(words.replace("FOLDER", str(tmp_path)).split())
    assert len(calls) == begun
