"""Ed25519 keys as files: PEM, as openssl reads and writes them too. The one file that needs `cryptography`.

A key's id is the SHA-256 of its 32 public bytes, in hexadecimal digits.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle.signature import Signature, Statement, signed_bytes
from edge_runtime.errors import DependencyError, OutputError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "PublicKey",
    "generate",
    "key_pem",
    "public_from_pem",
    "public_of",
    "read_private",
    "sign",
    "verified",
    "write_key",
]

_MOST_BYTES = 16 << 10


@dataclass(frozen=True)
class PublicKey:
    """A key's 32 public bytes, and the name of the file that they came from without its suffix."""

    raw: bytes
    name: str

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()


def generate(path: Path) -> PublicKey:
    """Write a new private key, which only this user may read, and its public half beside it (.pub.pem).

    Raises OutputError for a file that is there already: a key that is lost cannot be made again.
    """
    _need()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    public = public_of(private, path.name)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    beside = path.with_name(path.name + ".pub.pem")
    for file, data, mode in ((path, pem, 0o600), (beside, key_pem(public).encode(), 0o644)):
        write_key(file, data, mode)
    return public


def write_key(path: Path, data: bytes, mode: int) -> None:
    """Write a new file that only `mode` lets read.

    Raises OutputError for one that is there: a key that is lost cannot be made again.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
    except FileExistsError as error:
        raise OutputError(f"{path} is there already, and keys are never overwritten; give another name") from error
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def key_pem(public: PublicKey) -> str:
    """The public key as PEM (SubjectPublicKeyInfo, RFC 8410)."""
    text = base64.b64encode(_PREFIX + public.raw).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"


# SubjectPublicKeyInfo of Ed25519 up to the key's bytes (RFC 8410, 10.1): reading a key needs no package.
_PREFIX = bytes.fromhex("302a300506032b6570032100")


def public_from_pem(text: str, name: str) -> PublicKey:
    """Return the key that a PEM text holds. Raises ValueError for any other text."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) < 3 or lines[0] != "-----BEGIN PUBLIC KEY-----" or lines[-1] != "-----END PUBLIC KEY-----":
        raise ValueError("expected one public key in PEM")
    data = base64.b64decode("".join(lines[1:-1]), validate=True)
    if not data.startswith(_PREFIX) or len(data) != len(_PREFIX) + 32:
        raise ValueError("expected an Ed25519 key")
    return PublicKey(data[len(_PREFIX) :], name)


def read_private(path: Path) -> Ed25519PrivateKey:
    """Return a private key. Raises UsageError for a file that holds none, DependencyError without `cryptography`."""
    _need()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES)
        found = serialization.load_pem_private_key(data, password=None)
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is no private key without a password; edge-sign keygen makes one") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise UsageError(f"{path} is a key of another kind, expected Ed25519; edge-sign keygen makes one")
    return found


def public_of(private: Ed25519PrivateKey, name: str) -> PublicKey:
    """The public half of a key."""
    return PublicKey(private.public_key().public_bytes_raw(), name)


def sign(private: Ed25519PrivateKey, statement: Statement) -> Signature:
    """Sign a statement."""
    return Signature(statement, base64.b64encode(private.sign(signed_bytes(statement))).decode())


def verified(public: PublicKey, signature: Signature) -> bool:
    """Whether the key made the signature. Raises DependencyError without `cryptography`."""
    _need()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public.raw).verify(signature.raw(), signed_bytes(signature.statement))
    except (InvalidSignature, ValueError):
        return False
    return True


def _need() -> None:
    try:
        import cryptography  # noqa: F401 -- whether it is there
    except ImportError as error:
        message = "signatures need cryptography, not installed here: pip install 'edgeline[sign]'"
        raise DependencyError(message) from error
