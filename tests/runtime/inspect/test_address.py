"""Addresses as users type them: what is opened, and what is written down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.inspect.address import masked, parse_address, scrubbed


@pytest.mark.parametrize(
    ("text", "user", "password", "bare"),
    [
        ("rtsp://admin:secret@cam:554/1", "admin", "secret", "rtsp://cam:554/1"),
        ("rtsp://me@corp:sesame7@127.0.0.1:8557/cam", "me@corp", "sesame7", "rtsp://127.0.0.1:8557/cam"),
        ("rtsp://admin:wr/ong@127.0.0.1:1/cam", "admin", "wr/ong", "rtsp://127.0.0.1:1/cam"),
        ("rtsp://admin:12/ong@10.0.0.5/cam", "admin", "12/ong", "rtsp://10.0.0.5/cam"),
        ("rtsp://admin:pa/ss@cam/1", "admin", "pa/ss", "rtsp://cam/1"),
        ("rtsp://u:p@ss/w:o?r#d@127.0.0.1:8557/cam", "u", "p@ss/w:o?r#d", "rtsp://127.0.0.1:8557/cam"),
        ("rtsp://me@corp:a@b/c@cam.local:554/1", "me@corp", "a@b/c", "rtsp://cam.local:554/1"),
        ("rtsp://us/er:x#y@10.1.1.1/c", "us/er", "x#y", "rtsp://10.1.1.1/c"),
        ("rtsp://a:b:c@[fe80::1]:88/x", "a", "b:c", "rtsp://[fe80::1]:88/x"),
        ("rtsp://u:p%40s%2Fs@cam", "u", "p@s/s", "rtsp://cam"),
        ("rtsp://:word@cam/", "", "word", "rtsp://cam/"),
        ("rtsp://u:100%@cam/", "u", "100%", "rtsp://cam/"),
        ("http://cam/a@b", "", "", "http://cam/a@b"),
        ("http://cam:80/me:1@10.0.0.1?x=1", "cam", "80/me:1", "http://10.0.0.1?x=1"),
        ("http://relay:1984/api?src=rtsp://u:p@1.2.3.4/x", "", "", "http://relay:1984/api?src=rtsp://u:p@1.2.3.4/x"),
        ("http://relay/api?src=u:p@1.2.3.4/x", "", "", "http://relay/api?src=u:p@1.2.3.4/x"),
        ("udp://@239.0.0.1:1234", "", "", "udp://239.0.0.1:1234"),
        ("udp://:1234", "", "", "udp://:1234"),
    ],
)
def test_user_and_password_end_at_the_last_at_before_a_host(text: str, user: str, password: str, bare: str) -> None:
    address = parse_address(text)
    assert (address.user, address.password, address.bare) == (user, password, bare)


def test_what_is_opened_has_its_password_encoded() -> None:
    assert parse_address("rtsp://me@corp:a/b?c#d:@10.0.0.5/1?x=1").url == (
        "rtsp://me%40corp:a%2Fb%3Fc%23d%3A@10.0.0.5/1?x=1"
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rtsp://admin:secret@cam:554/1", "rtsp://***@cam:554/1"),
        ("rtsp://cam:554/1", "rtsp://cam:554/1"),
        ("rtsp://127.0.0.1:1/cam?user=a&password=secret9", "rtsp://127.0.0.1:1/cam?***"),
        ("http://cam/?secret", "http://cam/?***"),
        ("rtsp://u:p@ss/word@cam/1", "rtsp://***@cam/1"),  # whichever it was
        ("rtsp://c/user=admin_password=tlJw_channel=1.sdp", "rtsp://c/user=***_password=***_channel=1.sdp"),
        ("rtsp://u:secret@/1", "rtsp://***@/1"),
        ("rtsp://u:secret@cam:99999/1?k=secret", "rtsp://***@cam:99999/1?***"),
        ("photos/a@b?.png", "photos/a@b?.png"),
    ],
)
def test_no_user_password_or_query_is_written_down(text: str, name: str) -> None:
    assert masked(text) == name


@pytest.mark.parametrize(
    "text", ["rtsp:///x", "rtsp://a b/x", "rtsp://h:99999/x", "rtsp://h:0/x", "http://[::1/", "http://a..b:x/"]
)
def test_what_cannot_be_an_address_says_why(text: str) -> None:
    with pytest.raises(ValueError, match=r"host|port"):
        parse_address(text)


def test_what_a_library_says_is_told_without_secrets() -> None:
    address = parse_address("rtsp://me@corp:ses/ame7@cam/1?token=abc9")
    said = "rtsp://me%40corp:ses%2Fame7@cam/1?token=abc9 says 401 for me@corp, ses/ame7, abc9; see http://x:y@other/?q"
    assert address.hide(said) == "rtsp://***@cam/1?*** says 401 for ***, ***, ***; see http://***@other/?***"
    assert "sesame" not in repr(parse_address("rtsp://u:sesame@cam/?sesame"))
    assert scrubbed("Opening 'http://u:p@cam/x?y' failed") == "Opening 'http://***@cam/x?***' failed"


@given(st.text("ab/:@?#%.1 ", min_size=1, max_size=12), st.text("xy@/#", min_size=1, max_size=6))
def test_any_password_before_an_address_is_hidden(password: str, user: str) -> None:
    secret = f"Q{password}Q"
    assert "Q" not in masked(f"rtsp://{user}:{secret}@192.168.1.20:554/live")


@given(st.text(max_size=30))
def test_any_text_can_be_masked(text: str) -> None:
    masked(f"rtsp://{text}")
    scrubbed(text)
