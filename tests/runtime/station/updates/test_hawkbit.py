"""hawkBit's Direct Device Integration API, as its documentation has it."""

from __future__ import annotations

import hashlib
import json

import pytest
from web_server import WebServer

from edge_runtime.errors import SourceError, UpdateError
from edge_runtime.station.updates.hawkbit import Server, poll

CONTENT = b"an archive" * 1000
BASE = "/DEFAULT/controller/v1/line%203"


class Hawkbit:
    """A server with one action for a controller."""

    def __init__(self, **artifact):
        self.web = WebServer(self._answer)
        self.server = Server(self.web.url, "DEFAULT", "line 3", "TargetToken 1234")
        self.links = {"deploymentBase": {"href": f"{self.web.url}{BASE}/deploymentBase/7?c=-21"}}
        self.deployment = {"download": "forced", "update": "forced"}
        self.artifact = {
            "filename": "pcb-7.tar.gz",
            "hashes": {"sha1": "wrong, but there is a better one", "sha256": hashlib.sha256(CONTENT).hexdigest()},
            "size": len(CONTENT),
            "_links": {"download": {"href": f"{self.web.url}/download/pcb-7.tar.gz"}},
            **artifact,
        }

    def _answer(self, asked):
        if asked.headers.get("Authorization") != "TargetToken 1234":
            return 401, {}, b""
        if asked.path == BASE:
            return self._json({"config": {"polling": {"sleep": "00:05:00"}}, "_links": self.links})
        if asked.path.startswith(f"{BASE}/deploymentBase/7?"):
            readme = {"filename": "README.md", "hashes": {}, "size": 1, "_links": {}}
            chunks = [{"part": "bApp", "version": "7", "name": "pcb", "artifacts": [readme, self.artifact]}]
            return self._json({"id": "7", "deployment": {**self.deployment, "chunks": chunks}})
        if asked.path.startswith(f"{BASE}/cancelAction/7"):
            return self._json({"id": "7", "cancelAction": {"stopId": "7"}})
        if asked.path == "/download/pcb-7.tar.gz":
            return 200, {}, CONTENT
        return 200, {}, b""

    @staticmethod
    def _json(value):
        return 200, {"Content-Type": "application/hal+json"}, json.dumps(value).encode()

    def told(self):
        """What was sent: to where, and the body."""
        return [
            (asked.method, asked.path, json.loads(asked.body))
            for asked in self.web.asked
            if asked.method in ("POST", "PUT")
        ]


def polled(hawkbit, deploy=lambda archive: "version 7 is confirmed"):
    said = []
    try:
        return poll(hawkbit.server, deploy, lambda: {"edgeline.version": "3"}, said.append), said
    finally:
        hawkbit.web.close()


def endings(hawkbit):
    return [
        (path, body["id"], body["status"]["execution"], body["status"]["result"]["finished"], body["status"]["details"])
        for _, path, body in hawkbit.told()
    ]


FEEDBACK = f"{BASE}/deploymentBase/7/feedback"


def test_a_deployment_is_fetched_installed_and_closed():
    hawkbit, given = Hawkbit(), []

    def deploy(archive):
        given.append((archive.name, archive.read_bytes()))
        return "version 7 is confirmed"

    assert polled(hawkbit, deploy)[0] == 300.0
    assert given == [("pcb-7.tar.gz", CONTENT)]
    assert endings(hawkbit) == [
        (FEEDBACK, "7", "proceeding", "none", ["fetching"]),
        (FEEDBACK, "7", "closed", "success", ["version 7 is confirmed"]),
    ]


def test_an_update_that_fails_closes_the_action_with_the_reason():
    def deploy(archive):
        raise UpdateError("it was returned from")

    hawkbit = Hawkbit()
    _, said = polled(hawkbit, deploy)
    assert endings(hawkbit)[-1] == (FEEDBACK, "7", "closed", "failure", ["it was returned from"])
    assert said == ["hawkBit's action 7 failed: it was returned from"]


@pytest.mark.parametrize(
    ("artifact", "words"),
    [
        ({"hashes": {"sha256": "0" * 64}}, "its sha256 is not what the server says"),
        ({"hashes": {"md5": "0" * 32}}, "its md5 is not what the server says"),
        ({"size": 3}, "the server says 3"),
        ({"filename": "../pcb.tar"}, "found 0"),
        ({"filename": "firmware.swu"}, "found 0"),
        ({"_links": {}}, "without href"),
        ({"_links": {"download-http": {"href": "file:///etc/passwd"}}}, "cannot get"),
    ],
)
def test_an_artifact_that_is_not_what_the_server_says_is_not_installed(artifact, words):
    hawkbit = Hawkbit(**artifact)
    polled(hawkbit, lambda archive: pytest.fail("installed"))
    *_, execution, finished, (why,) = endings(hawkbit)[-1]
    assert (execution, finished) == ("closed", "failure")
    assert words in why


def test_a_maintenance_window_that_is_not_open_is_waited_for():
    hawkbit = Hawkbit()
    hawkbit.deployment["update"] = "skip"
    polled(hawkbit, lambda archive: pytest.fail("installed"))
    assert hawkbit.told() == []


def test_a_cancellation_is_granted():
    hawkbit = Hawkbit()
    hawkbit.links["cancelAction"] = {"href": f"{hawkbit.web.url}{BASE}/cancelAction/7"}
    polled(hawkbit, lambda archive: pytest.fail("installed"))
    assert endings(hawkbit) == [
        (f"{BASE}/cancelAction/7/feedback", "7", "closed", "success", ["nothing of it is being installed"])
    ]


def test_what_runs_is_told_where_the_server_asks():
    hawkbit = Hawkbit()
    hawkbit.links = {"configData": {"href": f"{hawkbit.web.url}{BASE}/configData"}}
    polled(hawkbit)
    assert hawkbit.told() == [("PUT", f"{BASE}/configData", {"mode": "merge", "data": {"edgeline.version": "3"}})]


def test_the_token_is_told_to_this_server_alone():
    other = WebServer(lambda asked: (200, {}, CONTENT))
    hawkbit = Hawkbit(_links={"download": {"href": f"{other.url}/pcb-7.tar.gz"}})
    try:
        polled(hawkbit)
    finally:
        other.close()
    assert endings(hawkbit)[-1][3] == "success"
    assert "Authorization" not in other.asked[0].headers


@pytest.mark.parametrize("content", [b"<html>", b"[]", b""])
def test_a_server_that_is_no_hawkbit_is_said(content):
    web = WebServer(lambda asked: (200, {}, content))
    with pytest.raises(SourceError, match="hawkBit at"):
        poll(Server(web.url, "DEFAULT", "line3"), lambda archive: "", dict, print)
    web.close()
