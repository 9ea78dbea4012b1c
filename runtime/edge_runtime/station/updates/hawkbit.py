"""A client of Eclipse hawkBit's Direct Device Integration API (v1): what is deployed there becomes an update.

Polled is {url}/{tenant}/controller/v1/{controller}. Of what its links lead to:

    deploymentBase   the one archive of its chunks is fetched, held against its sizes and hashes, installed; the action
                     is closed with success or failure, and why
    cancelAction     granted: an action that is being installed is closed before anything else is asked for
    configData       what runs here

Whatever the server says, a bundle comes in as by `edge-station update`: by a trusted key, where one is.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge_runtime.errors import BundleError, EdgelineError, SourceError
from edge_runtime.station.updates.bring import fetch

__all__ = ["Deployed", "Server", "poll"]

_ARCHIVE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}\.(tar|tar\.gz|tgz|zip)")
_SLEEP = re.compile(r"(\d{1,2}):(\d\d):(\d\d)")
_USUAL_S, _LEAST_S, _PATIENCE_S = 300.0, 5.0, 60.0
_MOST_BYTES = 1 << 20
_HASHES = ("sha256", "sha1", "md5")  # the first that is given


@dataclass(frozen=True)
class Server:
    """Where to poll. `authorization`: the header, as `TargetToken ...`, "" for none."""

    url: str
    tenant: str
    controller: str
    authorization: str = ""

    @property
    def base(self) -> str:
        """The address that is polled."""
        tenant, controller = (urllib.parse.quote(name, safe="") for name in (self.tenant, self.controller))
        return f"{self.url.rstrip('/')}/{tenant}/controller/v1/{controller}"

    def headers(self, url: str) -> dict[str, str]:
        """The headers for an address: the token is told to this server alone."""
        ours, theirs = (urllib.parse.urlsplit(one)[:2] for one in (self.url, url))
        return {"Authorization": self.authorization} if self.authorization and ours == theirs else {}


# Installs an archive and waits for its probation; returns what is to be told. Raises an error of ours where it failed.
Deployed = Callable[[Path], str]


def poll(server: Server, deploy: Deployed, facts: Callable[[], Mapping[str, str]], say: Callable[[str], None]) -> float:
    """Ask once and do what there is to be done; returns after how many seconds to ask again.

    Raises SourceError where the server does not answer as it should.
    """
    answer = _asked(server, server.base)
    links = _table(answer, "_links")
    if "cancelAction" in links:
        action = _asked(server, _href(links, "cancelAction"))
        _close(server, "cancelAction", _text(action, "id"), True, "nothing of it is being installed")
    elif "deploymentBase" in links:
        _deploy(server, _asked(server, _href(links, "deploymentBase")), deploy, say)
    if "configData" in links:
        _sent(server, _href(links, "configData"), {"mode": "merge", "data": dict(facts())}, "PUT")
    found = _SLEEP.fullmatch(str(_table(_table(answer, "config"), "polling").get("sleep", "")))
    if found is None:
        return _USUAL_S
    hours, minutes, seconds = map(int, found.groups())
    return max(_LEAST_S, 3600.0 * hours + 60.0 * minutes + seconds)


def _deploy(server: Server, action: Mapping[str, Any], deploy: Deployed, say: Callable[[str], None]) -> None:
    number, deployment = _text(action, "id"), _table(action, "deployment")
    if "skip" in (deployment.get("download"), deployment.get("update")):  # a maintenance window that is not open
        return
    _feedback(server, "deploymentBase", number, "proceeding", "none", "fetching")
    try:
        with _fetched(server, deployment) as archive:
            told = deploy(archive)
    except EdgelineError as error:
        say(f"hawkBit's action {number} failed: {error}")
        _close(server, "deploymentBase", number, False, str(error))
    else:
        say(f"hawkBit's action {number} is done: {told}")
        _close(server, "deploymentBase", number, True, told)


@contextlib.contextmanager
def _fetched(server: Server, deployment: Mapping[str, Any]) -> Iterator[Path]:
    """The archive of a deployment, as the server says it is. Raises BundleError, SourceError, OutputError."""
    chunks = deployment.get("chunks")
    artifacts = [
        artifact
        for chunk in (chunks if isinstance(chunks, list) else [])
        if isinstance(chunk, dict)
        for artifact in chunk.get("artifacts") or []
        if isinstance(artifact, dict) and _ARCHIVE.fullmatch(str(artifact.get("filename", "")))
    ]
    if len(artifacts) != 1:
        raise BundleError(
            f"expected one archive of a bundle (.tar, .tar.gz, .zip) to be deployed, found {len(artifacts)}"
        )
    (artifact,) = artifacts
    links, hashes = _table(artifact, "_links"), _table(artifact, "hashes")
    url = _href(links, "download" if "download" in links else "download-http")
    with tempfile.TemporaryDirectory(prefix="edgeline-hawkbit-") as place:
        archive = Path(place) / str(artifact["filename"])
        fetch(url, archive, server.headers(url))
        size = archive.stat().st_size
        if artifact.get("size") not in (None, size):
            raise BundleError(f"{archive.name} has {size} bytes, the server says {artifact['size']}")
        for name in _HASHES:
            if name in hashes:
                with archive.open("rb") as stream:
                    digest = hashlib.new(name, usedforsecurity=False)
                    while chunk := stream.read(1 << 20):
                        digest.update(chunk)
                if digest.hexdigest() != str(hashes[name]).lower():
                    raise BundleError(f"{archive.name} is damaged: its {name} is not what the server says")
                break
        yield archive


def _close(server: Server, kind: str, number: str, good: bool, why: str) -> None:
    _feedback(server, kind, number, "closed", "success" if good else "failure", why)


def _feedback(server: Server, kind: str, number: str, execution: str, finished: str, why: str) -> None:
    body = {
        "id": number,
        "time": datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S"),
        "status": {"execution": execution, "result": {"finished": finished}, "details": [why[:500]]},
    }
    _sent(server, f"{server.base}/{kind}/{urllib.parse.quote(number, safe='')}/feedback", body, "POST")


def _asked(server: Server, url: str) -> Mapping[str, Any]:
    data = _request(server, urllib.request.Request(url, headers={"Accept": "application/hal+json"}))
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"hawkBit at {server.url} answered what is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise SourceError(f"hawkBit at {server.url} answered {type(found).__name__}, expected an object")
    return found


def _sent(server: Server, url: str, body: Mapping[str, Any], method: str) -> None:
    headers = {"Content-Type": "application/json"}
    _request(server, urllib.request.Request(url, json.dumps(body).encode(), headers, method=method))


def _request(server: Server, request: urllib.request.Request) -> bytes:
    for name, value in server.headers(request.full_url).items():
        request.add_unredirected_header(name, value)
    if not request.full_url.lower().startswith(("http://", "https://")):
        raise SourceError(f"hawkBit at {server.url} names an address that is none of http or https")
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            data: bytes = answer.read(_MOST_BYTES)
            return data
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise SourceError(f"hawkBit at {server.url} cannot be asked ({error}); it is asked again later") from error


def _table(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, (str, int)) or not str(value):
        raise SourceError(f"hawkBit named an action without {name}")
    return str(value)


def _href(links: Mapping[str, Any], name: str) -> str:
    return _text(_table(links, name), "href")
