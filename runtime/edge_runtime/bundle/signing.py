"""Signing a bundle: its signature.json is written anew, as a whole."""

from __future__ import annotations

import getpass
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.keys import public_of, sign
from edge_runtime.bundle.signature import MOST_VERSION, SIGNATURE, Statement, signature_text
from edge_runtime.errors import OutputError, UsageError
from edge_runtime.files.atomic import write_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["sign_bundle", "user_name"]


def sign_bundle(bundle: Path, key: Ed25519PrivateKey, version: int | None = None, signer: str = "") -> Statement:
    """Check a bundle completely and sign it; returns what was signed.

    `version` None: the time in UTC as yyyymmddhhmmss, which grows from one signing to the next; SOURCE_DATE_EPOCH
    stands for the time where it is set. Raises BundleError for a damaged bundle, UsageError for a version or a
    signer's name that cannot be, OutputError where it cannot be written.
    """
    checked = read_bundle(bundle)
    now = time.gmtime(_now())
    chosen = int(time.strftime("%Y%m%d%H%M%S", now)) if version is None else version
    if not 0 <= chosen <= MOST_VERSION:
        raise UsageError(f"a version is a number of 0..{MOST_VERSION}, found {chosen}")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
    try:
        name = checked.manifest.model.name
        statement = Statement(checked.sha256, name, chosen, public_of(key, "").id, signer, stamp)
    except ValueError as error:
        raise UsageError(f"{bundle} cannot be signed: {error}") from error
    target = bundle / SIGNATURE
    try:
        write_text(target, signature_text(sign(key, statement)))
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}") from error
    return statement


def user_name() -> str:
    """The name of who runs this, for people; "" for a user without one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def _now() -> float:
    told = os.environ.get("SOURCE_DATE_EPOCH", "")
    return float(told) if told.isdecimal() and len(told) < 12 else time.time()
