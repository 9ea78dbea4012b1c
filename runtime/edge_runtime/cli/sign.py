"""The `edge-sign` command: keys, signatures of bundles, and whether one is signed by a key that is trusted here."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.keys import PublicKey, generate, public_from_pem, read_private
from edge_runtime.bundle.openssf import key_beside, make_key, sign_openssf
from edge_runtime.bundle.signature import MOST_VERSION, read_signature
from edge_runtime.bundle.signing import sign_bundle, user_name
from edge_runtime.bundle.trust import judge
from edge_runtime.bundle.trusted import SYSTEM_STORE, trusted_keys
from edge_runtime.cli.console import run_command
from edge_runtime.errors import TrustError, UsageError

__all__ = ["edge_sign", "main"]

_PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def edge_sign() -> None:
    """Sign bundles, and tell who signed one.

    \b
    edge-sign keygen line3                  writes line3 (keep it secret) and line3.pub.pem
    edge-sign sign boards.edge --key line3
    sudo install -D -m 644 line3.pub.pem /etc/edgeline/trusted.d/line3.pub.pem      on the device
    edge-sign verify boards.edge

    Once a key is trusted on a device (there, or in ~/.config/edgeline/trusted.d), only bundles that a trusted key
    signed run on it. Exit codes: 0 done, 2 usage, 3 a damaged bundle, 7 output, 8 cryptography is not installed, 16 not
    signed by a trusted key, or wrongly.
    """


@edge_sign.command()
@click.argument("name", type=_PATH)
@click.option("--openssf", is_flag=True, help="Also NAME.openssf and NAME.openssf.pub, for OpenSSF's model signing.")
def keygen(name: Path, openssf: bool) -> None:
    """Make a key: NAME, which signs, and NAME.pub.pem, which devices trust."""
    key = generate(name)
    if openssf:
        make_key(name)
    click.echo(f"{name} signs: keep it secret. {name}.pub.pem goes to devices, into {SYSTEM_STORE}")
    click.echo(f"key {key.id}")


@edge_sign.command()
@click.argument("bundle", type=_PATH)
@click.option("--key", required=True, type=_PATH, help="The private key, as keygen wrote it.")
@click.option(
    "--version",
    type=click.IntRange(0, MOST_VERSION),
    help="Devices go back to a lower one only with --allow-downgrade.  [default: the time in UTC, yyyymmddhhmmss]",
)
@click.option("--signer", help="Who signs, for people.  [default: the user's name]")
def sign(bundle: Path, key: Path, version: int | None, signer: str | None) -> None:
    """Check every file of a BUNDLE, and sign it.

    Where KEY.openssf is there it is signed by OpenSSF's model signing too, in BUNDLE.sig beside the folder.
    """
    said = sign_bundle(bundle, read_private(key), version, user_name() if signer is None else signer)
    click.echo(f"{bundle}: signed, {said.model!r} version {said.version}, key {said.key[:16]}")
    if key_beside(key).exists():
        click.echo(f"{sign_openssf(bundle, key_beside(key))}: signed by OpenSSF's model signing")


@edge_sign.command()
@click.argument("bundle", type=_PATH)
@click.option("--key", "keys", multiple=True, type=_PATH, help="A public key to trust instead of those of this device.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(bundle: Path, keys: tuple[Path, ...], as_json: bool) -> None:
    """Tell whether a BUNDLE is signed by a trusted key, and every file is as it was signed."""
    checked = read_bundle(bundle)
    known = {key.id: key for key in map(_public, keys)} if keys else trusted_keys()
    trust = judge(read_signature(bundle), checked.sha256, known, bundle)
    if not trust.signed:
        raise TrustError(f"{bundle} is {trust}; its files are intact, and nobody trusted vouches for them")
    if trust.model != checked.manifest.model.name:
        raise TrustError(f"{bundle} holds {checked.manifest.model.name!r}, its signature is of {trust.model!r}")
    said = {"trust": trust.word, "bundle_sha256": trust.sha256, "key": trust.key, "signer": trust.signer,
            "model": trust.model, "version": trust.version}  # fmt: skip
    click.echo(json.dumps(said) if as_json else f"{bundle}: {trust}; every file is as it was signed")


def _public(path: Path) -> PublicKey:
    try:
        return public_from_pem(path.read_text(encoding="ascii"), path.name)
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no public key ({error}); give the .pub.pem that keygen wrote") from error


def main() -> None:
    """Run the command."""
    run_command(edge_sign, "edge-sign")
