import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.bundle.seal import UNSEALED, seal, sealed

MANIFEST = b'{"schema": 1, "labels": ["a"], "digest": "' + UNSEALED.encode() + b'"}'


def test_what_was_sealed_is_sealed_and_what_was_not_is_not():
    assert sealed(seal(MANIFEST))
    assert not sealed(MANIFEST)


@given(st.integers(0, len(MANIFEST) * 8 - 1))
def test_any_flipped_bit_breaks_the_seal(position):
    damaged = bytearray(seal(MANIFEST))
    damaged[position // 8] ^= 1 << (position % 8)
    assert not sealed(bytes(damaged))


@pytest.mark.parametrize("payload", [b"", b"{}", MANIFEST + MANIFEST])
def test_a_manifest_without_exactly_one_digest_cannot_be_sealed(payload):
    assert not sealed(payload)
    with pytest.raises(ValueError, match="one digest"):
        seal(payload)
