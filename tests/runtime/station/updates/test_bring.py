"""Updates by URL."""

from __future__ import annotations

import tarfile

import pytest
from update_cases import bundle_of
from web_server import WebServer

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import BundleError, SourceError
from edge_runtime.station.updates.bring import bring, open_update


@pytest.fixture
def archive(tmp_path):
    with tarfile.open(tmp_path / "b.tar", "w") as made:
        made.add(bundle_of(tmp_path, "1"), "b.edge")
    return (tmp_path / "b.tar").read_bytes()


def brought(answer, folder, path="/b.tar"):
    server = WebServer(answer)
    try:
        bring(open_update(server.url + path), folder)
    finally:
        server.close()
    return folder


def test_a_bundle_is_fetched_and_unpacked(archive, tmp_path):
    assert read_bundle(brought(lambda asked: (200, {}, archive), tmp_path / "new")).manifest.model.version == "1"


def test_a_redirect_is_followed_to_the_web_alone(archive, tmp_path):
    def answer(asked):
        return (302, {"Location": "/other"}, b"") if asked.path == "/b.tar" else (200, {}, archive)

    read_bundle(brought(answer, tmp_path / "new"))
    for number, target in enumerate(("file:///etc/passwd", "ftp://127.0.0.1/x")):
        with pytest.raises(SourceError):
            brought(lambda asked, target=target: (302, {"Location": target}, b""), tmp_path / str(number))


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((404, {}, b"no"), SourceError, "404"),
        ((200, {"Content-Length": "5000000000"}, b""), BundleError, "at most"),
        ((200, {}, b"<html>"), BundleError, "no archive"),
        ((200, {"Location": "x"}, b""), BundleError, "no archive"),
    ],
)
def test_what_is_no_bundle_is_said(answer, error, words, tmp_path):
    with pytest.raises(error, match=words):
        brought(lambda asked: answer, tmp_path / "new")


def test_a_fetch_that_breaks_off_is_no_bundle(archive, tmp_path):
    with pytest.raises(SourceError):
        brought(
            lambda asked: (200, {"Content-Length": str(len(archive) + 1), "Connection": "close"}, archive),
            tmp_path / "new",
        )


def test_a_password_of_an_address_is_shown_nowhere(tmp_path):
    update = open_update("http://me:secret@127.0.0.1:1/b.tar?token=secret")
    with pytest.raises(SourceError) as caught:
        bring(update, tmp_path / "new")
    assert "secret" not in str(caught.value)
    assert "secret" not in update.shown
