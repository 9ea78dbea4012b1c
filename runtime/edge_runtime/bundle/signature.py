"""signature.json: who vouches for a bundle. The one file beside the report that the manifest does not list.

It holds a statement and an Ed25519 signature (RFC 8032) over the statement's bytes. The statement names the manifest by
its SHA-256, and the manifest every other file by its own, so that all of the bundle is signed. The model's name and a
version that only grows are in the statement: an older bundle, rightly signed in its day, is told from a newer one.

What is signed is `_DOMAIN` and the statement as JSON with sorted keys and no spaces: a signature made for another
purpose with the same key is none here.
"""

from __future__ import annotations

import base64
import binascii
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_runtime.errors import BundleError
from edge_runtime.files.schema import SchemaError, from_json, to_json

__all__ = ["MOST_VERSION", "SIGNATURE", "Signature", "Statement", "read_signature", "signature_text", "signed_bytes"]

SIGNATURE = "signature.json"
MOST_VERSION = (1 << 53) - 1  # what every reader of JSON holds
_MOST_BYTES = 64 << 10
_DOMAIN = b"edgeline bundle signature 1\n"
_LENGTH = 64  # of an Ed25519 signature
_ADVICE = "sign the bundle again with edge-sign"


@dataclass(frozen=True)
class Statement:
    """What a signer vouches for. `key` is the id of the key (keys.py), `time_utc` ISO 8601 by the signer's clock."""

    manifest_sha256: str
    model: str
    version: int
    key: str
    signer: str
    time_utc: str

    def __post_init__(self) -> None:
        for name in (self.manifest_sha256, self.key):
            if len(name) != 64 or set(name) - set("0123456789abcdef"):
                raise ValueError(f"expected 64 hexadecimal digits, found {name[:70]!r}")
        if not 0 <= self.version <= MOST_VERSION:
            raise ValueError(f"expected a version of 0..{MOST_VERSION}, found {self.version}")
        if not self.model or len(self.model) > 512 or len(self.signer) > 256 or len(self.time_utc) > 40:
            raise ValueError("expected a model's name of 1..512 characters, a signer of 256 and a time of 40 at most")


@dataclass(frozen=True)
class Signature:
    """A statement and the signature of its bytes in base64."""

    statement: Statement
    signature: str
    schema: Literal[1] = 1
    algorithm: Literal["ed25519"] = "ed25519"

    def raw(self) -> bytes:
        """The signature's 64 bytes. Raises ValueError."""
        try:
            found = base64.b64decode(self.signature, validate=True)
        except binascii.Error as error:
            raise ValueError(f"the signature is no base64 ({error})") from error
        if len(found) != _LENGTH:
            raise ValueError(f"the signature has {len(found)} bytes, expected {_LENGTH}")
        return found


def signed_bytes(statement: Statement) -> bytes:
    """What is signed for a statement."""
    text = json.dumps(to_json(statement), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return _DOMAIN + text.encode()


def signature_text(signature: Signature) -> str:
    """The file's text."""
    return json.dumps(to_json(signature), indent=2, ensure_ascii=True) + "\n"


def read_signature(bundle: Path) -> Signature | None:
    """Return what a bundle folder's signature.json says, of which nothing is checked yet; None where there is none.

    Raises BundleError for a file that is no signature.
    """
    path = bundle / SIGNATURE
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
        raise BundleError(f"{path} is no plain file of at most {_MOST_BYTES} bytes; {_ADVICE}")
    try:
        data = json.loads(path.read_bytes(), object_pairs_hook=_once)
        found = from_json(Signature, data)
        found.raw()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
    except (SchemaError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} is no signature ({error}); {_ADVICE}") from error
    return found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Two readers of one JSON text may take different ones of two equal keys."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found
