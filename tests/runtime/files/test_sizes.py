"""Sizes as people write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import UsageError
from edge_runtime.files.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("160MB", 160_000_000),
        ("160 mb", 160_000_000),
        (" 160M ", 160_000_000),
        ("1.5 GiB", 3 << 29),
        ("96ki", 96 << 10),
        ("0.5kB", 500),
        ("4096", 4096),
        ("7 b", 7),
        (4096, 4096),
    ],
)
def test_a_size_is_read_in_any_common_spelling(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", "MB", "-5MB", "+5MB", "1e6", "1.MB", ".5MB", "5 0MB", "5TB", "5MBs", "5iB", "nan", "1_000", "0x10"),
        *("9" * 400 + "GB", "5\nMB\n6", "\u0665MB", "5\u212aB"),  # the last two: an Arabic digit, the Kelvin sign
    ],
)
def test_what_is_no_size_is_refused_in_one_line(text):
    with pytest.raises(UsageError, match="expected a size such as 160MB") as refused:
        parse_size(text)
    assert "\n" not in str(refused.value)


@given(st.integers(0, 10**18 - 1))
def test_a_bare_number_of_bytes_is_read_exactly(size):
    assert parse_size(str(size)) == size


@given(st.text(max_size=30))
def test_any_text_is_a_size_or_is_refused(text):
    with contextlib.suppress(UsageError):  # anything else is a bug
        assert parse_size(text) >= 0


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (160_000_000, "160.0 MB"),
        (999_949, "999.9 kB"),
        (999_999, "1.0 MB"),
        (-2_500_000_000, "-2.5 GB"),
    ],
)
def test_a_size_is_written_in_the_unit_that_reads_best(size, text):
    assert format_size(size) == text


@given(st.integers(0, 10**17))
def test_what_is_written_can_be_read_again(size):
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.06)
