"""Whether a bundle is trusted: decided from its manifest's hash and its signature, before anything of it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Union

from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.keys import PublicKey, verified
from edge_runtime.bundle.signature import Signature, read_signature
from edge_runtime.bundle.trusted import newest_version, note_version, trusted_keys
from edge_runtime.errors import TrustError

__all__ = ["UNSIGNED", "USUAL", "Trust", "TrustPolicy", "check_same", "check_trust", "judge"]

_SHOWN = 16  # digits of a key's id


@dataclass(frozen=True)
class TrustPolicy:
    """What may run. `require_signed` None: signed bundles alone, once a key is trusted on this device.

    `note` False: that a version ran is not kept, as it is on probation and the one before may have to run again.
    """

    require_signed: Union[bool, None] = None
    allow_downgrade: bool = False
    note: bool = True


@dataclass(frozen=True)
class Trust:
    """What is known of who made a bundle; `sha256` is the manifest's, "" where it was not looked at.

    "signed": by a trusted key. "unknown": signed, by a key that is not trusted here. All but the word and the hash are
    a signed bundle's.
    """

    word: Literal["signed", "unsigned", "unknown"] = "unsigned"
    sha256: str = ""
    key: str = ""
    signer: str = ""
    model: str = ""
    version: int = 0

    @property
    def signed(self) -> bool:
        """Whether somebody who is trusted vouches for it."""
        return self.word == "signed"

    def __str__(self) -> str:
        if self.word == "unsigned":
            return "unsigned"
        if self.word == "unknown":  # the name is only claimed
            return f"signed by a key that is not trusted here ({self.key[:_SHOWN]})"
        return f"signed by {self.signer or 'no name'}, key {self.key[:_SHOWN]}, version {self.version}"

    def note(self) -> None:
        """Keep that this version ran here."""
        if self.signed:
            note_version(self.model, self.version)


UNSIGNED = Trust()
USUAL = TrustPolicy()


def check_trust(bundle: Path, sha256: str, policy: TrustPolicy) -> Trust:
    """Return what is known of a bundle folder whose manifest has the hash. Raises TrustError where it may not run.

    Raises BundleError for a signature.json that is none, DependencyError where a trusted key cannot be used.
    """
    keys = trusted_keys()
    trust = judge(read_signature(bundle), sha256, keys, bundle)
    required = bool(keys) if policy.require_signed is None else policy.require_signed
    if required and not trust.signed:
        why = "--require-signed was given" if policy.require_signed else "a key is trusted on this device"
        raise TrustError(
            f"{bundle} is {trust}, and {why}: sign it with edge-sign sign, trust the key that signed it, or give "
            "--allow-unsigned"
        )
    if trust.signed and not policy.allow_downgrade and trust.version < (newest := newest_version(trust.model)):
        raise TrustError(
            f"{bundle} is version {trust.version} of {trust.model!r}, version {newest} ran here before: give "
            "--allow-downgrade to go back"
        )
    return trust


def judge(signature: Signature | None, sha256: str, keys: Mapping[str, PublicKey], bundle: Path) -> Trust:
    """Return what a signature says of a manifest's hash. Raises TrustError for one that is wrong, whoever made it."""
    if signature is None:
        return Trust("unsigned", sha256)
    said = signature.statement
    if said.manifest_sha256 != sha256:
        raise TrustError(
            f"{bundle} was changed after it was signed: its manifest is {sha256[:12]}..., the signature is of "
            f"{said.manifest_sha256[:12]}...; copy it again, or sign it again with edge-sign"
        )
    key = keys.get(said.key)
    if key is None:
        return Trust("unknown", sha256, said.key, said.signer, said.model, said.version)
    if not verified(key, signature):
        raise TrustError(
            f"the signature of {bundle} is not by the key {said.key[:_SHOWN]} that it names; do not use it"
        )
    return Trust("signed", sha256, said.key, said.signer, said.model, said.version)


def check_same(trust: Trust, bundle: Bundle) -> None:
    """Check that what was opened is what was judged. Raises TrustError."""
    if bundle.sha256 != trust.sha256:
        raise TrustError(f"{bundle.path} was exchanged while it was opened; start again")
    if trust.signed and bundle.manifest.model.name != trust.model:
        raise TrustError(
            f"{bundle.path} holds the model {bundle.manifest.model.name!r}, its signature is of {trust.model!r}; "
            "sign it again with edge-sign"
        )
