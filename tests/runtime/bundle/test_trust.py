"""Who may have a bundle run on a device: keys, signatures, versions."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signing_cases import copied, key_pair, signed, trust_key

from edge_runtime import open_bundle
from edge_runtime.bundle import trusted
from edge_runtime.bundle.bundle import MANIFEST, bundle_sha256, read_bundle
from edge_runtime.bundle.keys import key_pem, public_from_pem, public_of, read_private, verified
from edge_runtime.bundle.seal import UNSEALED, seal
from edge_runtime.bundle.signature import SIGNATURE, Statement, read_signature, signed_bytes
from edge_runtime.bundle.trust import USUAL, Trust, TrustPolicy, check_trust
from edge_runtime.bundle.trusted import newest_version, note_version, trusted_keys, user_store, versions_file
from edge_runtime.errors import BundleError, OutputError, TrustError, UsageError
from edge_runtime.opening.choice import open_runner

pytest.importorskip("cryptography")
OPEN = TrustPolicy(require_signed=False)


@pytest.fixture(autouse=True)
def device(tmp_path, monkeypatch):
    """A device of its own: nothing trusted, nothing run."""
    monkeypatch.setattr(trusted, "SYSTEM_STORE", tmp_path / "etc" / "trusted.d")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return key_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def bundle(tmp_path):
    return copied(tmp_path)


def judged(bundle, policy=USUAL):
    return check_trust(bundle, bundle_sha256(bundle), policy)


def resealed(bundle, change):
    """What an attacker does: change the manifest, and seal it again."""
    path = bundle / MANIFEST
    data = json.loads(path.read_text())
    change(data)
    data["digest"] = UNSEALED
    path.write_bytes(seal(json.dumps(data).encode()))


def test_an_unsigned_bundle_runs_where_no_key_is_trusted_and_is_called_so(bundle):
    assert judged(bundle) == Trust("unsigned", bundle_sha256(bundle))
    with open_bundle(bundle) as engine:
        assert engine.trust.word == "unsigned"
        assert not engine.trust.signed


def test_an_unsigned_bundle_is_refused_where_that_is_asked(bundle):
    with pytest.raises(TrustError, match="is unsigned, and --require-signed was given"):
        judged(bundle, TrustPolicy(require_signed=True))


def test_a_trusted_key_makes_signatures_the_rule(bundle, key):
    trust_key(key, user_store())
    with pytest.raises(TrustError, match="unsigned, and a key is trusted on this device"):
        open_bundle(bundle)
    assert judged(bundle, OPEN).word == "unsigned"
    signed(bundle, key, 7)
    with open_bundle(bundle) as engine:
        assert engine.trust.signed
        assert (engine.trust.version, engine.trust.signer) == (7, "the line's owner")
        assert engine.trust.key == public_of(read_private(key), "").id
    assert newest_version(engine.manifest.model.name) == 7


def test_a_key_that_nobody_trusts_counts_as_none(bundle, key, tmp_path):
    signed(bundle, key)
    assert judged(bundle).word == "unknown"
    assert "the line's owner" not in str(judged(bundle))  # a name that anyone can write
    trust_key(key_pair(tmp_path, "other"), user_store())
    with pytest.raises(TrustError, match="signed by a key that is not trusted here"):
        judged(bundle)


def test_two_keys_are_trusted_while_one_replaces_the_other(key, tmp_path):
    new = key_pair(tmp_path, "new")
    trust_key(key, trusted.SYSTEM_STORE)
    trust_key(new, user_store())
    for number, each in enumerate((key, new)):
        assert judged(signed(copied(tmp_path, f"{number}.edge"), each)).signed
    (trusted.SYSTEM_STORE / "line3.pub.pem").unlink()
    with pytest.raises(TrustError, match="not trusted here"):
        judged(tmp_path / "0.edge")
    assert judged(tmp_path / "1.edge").signed


def test_a_changed_threshold_is_found_out_though_the_bundle_is_sealed_again(bundle, key):
    trust_key(key, user_store())
    signed(bundle, key)
    resealed(bundle, lambda manifest: manifest["thresholds"].update(confidence=0.999))
    read_bundle(bundle)  # sealed as it should be
    for policy in (USUAL, OPEN):
        with pytest.raises(TrustError, match="was changed after it was signed"):
            judged(bundle, policy)


@given(st.data())
def test_any_changed_bit_of_a_signature_is_refused_or_means_the_same(tmp_path, key, data):
    bundle = tmp_path / "hypothesis.edge"
    if not bundle.exists():
        signed(copied(tmp_path, bundle.name), key, 3)
        trust_key(key, user_store())
        shutil.copy(bundle / SIGNATURE, tmp_path / "signature")
    payload = bytearray((tmp_path / "signature").read_bytes())
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (bundle / SIGNATURE).write_bytes(payload)
    try:
        found = judged(bundle)
    except (TrustError, BundleError):
        return
    assert (found.word, found.version, found.signer) == ("signed", 3, "the line's owner")  # white space


@pytest.mark.parametrize("field", ["model", "version", "signer", "time_utc"])
def test_what_a_statement_says_cannot_be_changed(bundle, key, field):
    trust_key(key, user_store())
    signed(bundle, key)
    data = json.loads((bundle / SIGNATURE).read_text())
    data["statement"][field] = 99 if field == "version" else "other"
    (bundle / SIGNATURE).write_text(json.dumps(data))
    with pytest.raises(TrustError, match="is not by the key"):
        judged(bundle, OPEN)


def test_a_signature_of_another_bundle_is_refused(bundle, key, tmp_path):
    other = copied(tmp_path, "other.edge")
    resealed(other, lambda manifest: manifest["thresholds"].update(confidence=0.9))
    signed(other, key)
    shutil.copy(other / SIGNATURE, bundle / SIGNATURE)
    trust_key(key, user_store())
    with pytest.raises(TrustError, match="was changed after it was signed"):
        judged(bundle)


def test_an_older_version_runs_only_where_that_is_allowed(bundle, key):
    trust_key(key, user_store())
    with open_bundle(signed(bundle, key, 5)):
        pass
    signed(bundle, key, 4)
    with pytest.raises(TrustError, match=r"is version 4 of .*, version 5 ran here before"):
        open_bundle(bundle)
    with open_bundle(bundle, trust=TrustPolicy(allow_downgrade=True)) as engine:
        assert engine.trust.version == 4
    with pytest.raises(TrustError, match="version 5 ran here before"):  # going back once is no rule
        open_bundle(bundle)
    with open_bundle(signed(bundle, key, 5)):
        pass


def test_a_signature_for_another_models_name_is_refused(bundle, key, monkeypatch):
    trust_key(key, user_store())
    monkeypatch.setattr(
        "edge_runtime.bundle.signing.Statement", lambda sha, name, *rest: Statement(sha, "other", *rest)
    )
    signed(bundle, key)
    with pytest.raises(TrustError, match="its signature is of 'other'"):
        open_bundle(bundle)


def test_a_bundle_that_is_not_the_one_that_was_judged_is_refused(bundle, monkeypatch):
    monkeypatch.setattr("edge_runtime.engine.bundle_sha256", lambda path: "0" * 64)
    with pytest.raises(TrustError, match="was exchanged while it was opened"):
        open_bundle(bundle)


@pytest.mark.parametrize("times", [1, 2, 9])
def test_a_bundle_that_is_exchanged_while_it_is_opened_is_opened_anew(bundle, tmp_path, monkeypatch, times):
    other = copied(tmp_path, "other.edge")
    resealed(other, lambda manifest: manifest["thresholds"].update(confidence=0.9))
    left = [times]

    def meanwhile(*arguments):
        opened = open_runner(*arguments)
        if left[0]:
            left[0] -= 1
            bundle.rename(tmp_path / "away")
            other.rename(bundle)
            (tmp_path / "away").rename(other)
        return opened

    monkeypatch.setattr("edge_runtime.engine.open_runner", meanwhile)
    if times == 9:
        with pytest.raises(TrustError, match="exchanged 3 times"):
            open_bundle(bundle)
        return
    with open_bundle(bundle) as engine:
        assert engine.bundle_sha256 == engine.trust.sha256 == bundle_sha256(bundle)
        assert engine.manifest.thresholds.confidence == read_bundle(bundle).manifest.thresholds.confidence


def test_a_manifest_that_lists_a_signature_is_refused(bundle):
    (bundle / SIGNATURE).write_text("{}")
    resealed(bundle, lambda manifest: manifest["files"].update({SIGNATURE: {"size": 2, "sha256": "0" * 64}}))
    with pytest.raises(BundleError, match=r"names the file 'signature\.json'"):
        read_bundle(bundle)


@pytest.mark.parametrize("text", ["", "{}", "[]", "[" * 9999, '{"schema": 1, "schema": 1}', "1" * 5000, "x" * 70000])
def test_a_signature_that_is_none_is_a_bundle_error(bundle, text):
    (bundle / SIGNATURE).write_text(text)
    with pytest.raises(BundleError, match=r"signature\.json"):
        read_signature(bundle)


def test_a_signature_that_is_a_link_is_refused(bundle, tmp_path, key):
    signed(bundle, key)
    (bundle / SIGNATURE).rename(tmp_path / "s")
    (bundle / SIGNATURE).symlink_to(tmp_path / "s")
    with pytest.raises(BundleError, match="no plain file"):
        judged(bundle)


def test_a_damaged_bundle_is_not_signed(bundle, key):
    os.truncate(bundle / "weights.bin", 10)
    with pytest.raises(BundleError, match=r"weights\.bin"):
        signed(bundle, key)
    assert not (bundle / SIGNATURE).exists()


def test_keys_are_for_their_owner_alone_and_never_overwritten(key):
    assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputError, match="never overwritten"):
        key_pair(key.parent, key.name)


def test_a_key_that_others_can_write_is_not_relied_on(key):
    trust_key(key, user_store())
    (user_store() / "line3.pub.pem").chmod(0o666)
    with pytest.raises(TrustError, match="others can write the trusted key"):
        trusted_keys()
    (user_store() / "line3.pub.pem").chmod(0o644)
    user_store().chmod(0o777)
    with pytest.raises(TrustError, match="others can write into"):
        trusted_keys()


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_trusted_key_that_is_none_is_told_and_not_passed_over(text):
    user_store().mkdir(parents=True)
    (user_store() / "a.pem").write_text(text)
    with pytest.raises(TrustError, match=r"a\.pem is no trusted key"):
        trusted_keys()


def test_a_private_key_that_is_none_is_a_usage_error(tmp_path, key):
    for text in ("", key.with_name("line3.pub.pem").read_text()):
        (tmp_path / "k").write_text(text)
        with pytest.raises(UsageError, match="is no private key"):
            read_private(tmp_path / "k")


def test_the_keys_are_pem_as_others_read_it_and_find_the_signature_right(bundle, key):
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = read_signature(signed(bundle, key))
    pem = key.with_name("line3.pub.pem").read_bytes()
    load_pem_public_key(pem).verify(found.raw(), signed_bytes(found.statement))
    public = public_of(read_private(key), "line3")
    assert key_pem(public).encode() == pem
    assert public_from_pem(pem.decode(), "line3") == public
    assert verified(public, found)


def test_versions_are_kept_for_each_model_and_only_grow():
    assert newest_version("a") == -1
    for model, version in (("a", 3), ("b", 1), ("a", 2)):
        note_version(model, version)
    assert (newest_version("a"), newest_version("b")) == (3, 1)
    assert json.loads(versions_file().read_text()) == {"a": 3, "b": 1}


@pytest.mark.parametrize("text", ["", "[]", '{"a": "x"}', '{"a": true}', "[" * 99999])
def test_versions_that_are_damaged_are_told(text):
    note_version("a", 1)
    versions_file().write_text(text)
    with pytest.raises(TrustError, match="newest versions, is damaged"):
        newest_version("a")


def test_a_device_that_cannot_keep_versions_says_so(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    note_version("a", 1)
    assert "an older bundle would not be noticed" in caplog.text
