"""Keys, and bundles that they signed."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge_runtime.bundle.keys import generate, read_private
from edge_runtime.bundle.signing import sign_bundle

__all__ = ["PRISTINE", "copied", "key_pair", "signed", "trust_key"]

PRISTINE = Path(__file__).parent / "runtime" / "bundle" / "format-1.0.edge"


def copied(folder: Path, name: str = "b.edge") -> Path:
    """A small bundle of one's own, unsigned."""
    return Path(shutil.copytree(PRISTINE, folder / name))


def key_pair(folder: Path, name: str = "line3") -> Path:
    """A new private key; its public half lies beside it."""
    generate(folder / name)
    return folder / name


def signed(bundle: Path, key: Path, version: int = 1) -> Path:
    """Sign a bundle where it lies."""
    sign_bundle(bundle, read_private(key), version, "the line's owner")
    return bundle


def trust_key(key: Path, store: Path) -> None:
    """Install a key's public half on this device."""
    store.mkdir(parents=True, exist_ok=True)
    shutil.copy(key.with_name(key.name + ".pub.pem"), store / (key.name + ".pub.pem"))
