"""A plugin of pytest's for emulated boards: `-p edge_tools.arm.emulated`. An emulator is twenty times slower, so that
hypothesis tries fewer examples. That none is too slow is the tests' own profile (tests/conftest.py), loaded before.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

__all__ = ["pytest_configure"]


def pytest_configure(config: pytest.Config) -> None:
    """Before any test is collected: the settings that tests do not give themselves."""
    del config
    settings.register_profile("emulated", settings(), max_examples=10, derandomize=True)
    settings.load_profile("emulated")
