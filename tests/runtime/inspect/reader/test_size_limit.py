"""How large a stream's pictures may be within a memory limit."""

from __future__ import annotations

from edge_runtime.inspect.reader.size_limit import SizeLimit


def test_without_a_limit_a_picture_has_any_size() -> None:
    size = SizeLimit(None)
    assert size.see(10, 10) is None
    assert size.see(60000, 80000) is None
    assert size.most == 0


def test_the_first_picture_says_how_large_the_others_may_be() -> None:
    size = SizeLimit(0)
    assert size.most == 0
    assert size.see(1080, 1920) is None
    assert size.see(1920, 1080) is None
    refused = size.see(2160, 3840)
    assert refused is not None
    assert refused.startswith("3840x2160 pixels take 24.9 MB, within the memory limit 6.2 MB were planned")
    assert size.see(480, 640) is None
    assert size.most == 1080 * 1920


def test_what_was_planned_before_holds_for_a_source_that_is_opened_again() -> None:
    assert SizeLimit(1920 * 1080).see(2160, 3840) is not None


def test_small_pictures_may_grow_to_two_megabytes() -> None:
    size = SizeLimit(0)
    assert size.see(16, 16) is None
    assert size.see(600, 800) is None
    assert size.see(1200, 1600) is not None
