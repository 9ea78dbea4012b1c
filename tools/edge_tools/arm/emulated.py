"""A plugin of pytest's for emulated boards: `-p edge_tools.arm.emulated`. An emulator is twenty times slower, so that
hypothesis tries fewer examples, and none is too slow.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

__all__ = ["pytest_configure"]


def pytest_configure(config: pytest.Config) -> None:
    """Before any test is collected: the settings that tests do not give themselves."""
    del config
    slow = (HealthCheck.too_slow,)
    settings.register_profile("emulated", max_examples=10, deadline=None, suppress_health_check=slow, derandomize=True)
    settings.load_profile("emulated")
