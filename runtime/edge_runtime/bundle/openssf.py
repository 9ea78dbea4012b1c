"""A bundle signed for others' tools too: by OpenSSF's model signing, whose signature lies beside the folder.

    NAME.edge.sig       over every file of the folder as it lies there, signature.json and report included
    KEY.openssf         its key, P-256 as that tool wants one, beside the key KEY; KEY.openssf.pub is the public half

Whoever has the public half, and none of Edgeline, verifies it (model_signing verify key). Devices do not: what may run
there says signature.json. The one file that needs `model-signing`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from edge_runtime.bundle.keys import write_key
from edge_runtime.errors import DependencyError, UsageError
from edge_runtime.files.atomic import write_bytes

__all__ = ["key_beside", "make_key", "sign_openssf", "signature_beside"]


def key_beside(key: Path) -> Path:
    """The P-256 key of a key's owner."""
    return key.with_name(f"{key.name}.openssf")


def signature_beside(bundle: Path) -> Path:
    """Where the signature of a bundle's folder lies."""
    bundle = bundle.absolute()
    return bundle.with_name(f"{bundle.name}.sig")


def make_key(key: Path) -> Path:
    """Write a P-256 key beside a key, and its public half (.pub). Raises OutputError for one that is there already."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise DependencyError("keys need cryptography, not installed here: pip install 'edgeline[sign]'") from error
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    target = key_beside(key)
    for file, data, mode in ((target, pem, 0o600), (target.with_name(f"{target.name}.pub"), public, 0o644)):
        write_key(file, data, mode)
    return target


def sign_openssf(bundle: Path, key: Path) -> Path:
    """Sign a bundle's folder as it lies there; returns the signature's file.

    Raises DependencyError without `model-signing`, UsageError for a key that it does not take, OutputError.
    """
    try:
        from model_signing import signing
    except ImportError as error:
        why = f"{key} signs by model-signing, which cannot be used here ({error}): pip install 'edgeline[openssf]'"
        raise DependencyError(why) from error
    target = signature_beside(bundle)
    with tempfile.TemporaryDirectory(prefix="edgeline-openssf-") as folder:
        made = Path(folder) / "model.sig"
        try:
            signing.Config().use_elliptic_key_signer(private_key=key).sign(bundle, made)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"{bundle} cannot be signed with {key}: {error}; edge-sign keygen --openssf makes one"
            ) from error
        write_bytes(target, made.read_bytes())
    return target
