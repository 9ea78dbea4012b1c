"""What every test has: a cache of prepared bundles and a config folder that are not the user's."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.delenv("EDGELINE_DEVICE", raising=False)
        yield
