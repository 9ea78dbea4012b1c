"""Is a wheel the same twice?"""

from __future__ import annotations

import zipfile

import pytest

from edge_runtime.errors import VerificationError
from edge_tools.supply.wheel import reproduced


def built(content):
    """A build that writes one file; `content` gets the checkout and the time."""

    def build(checkout, folder, epoch):
        wheel = folder / "x-1-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(zipfile.ZipInfo("x/a.py"), content(checkout, epoch))
        return wheel

    return build


@pytest.fixture
def checkout(tmp_path):
    for name in ("a.py", ".git/x", ".venv-test/y", "b/__pycache__/z.pyc"):
        (tmp_path / "at" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "at" / name).write_text(name)
    return tmp_path / "at"


def test_what_is_the_same_twice_is_kept(checkout, tmp_path):
    seen = []

    def content(place, epoch):
        seen.append(sorted(path.name for path in place.rglob("*") if path.is_file()))
        return f"{epoch}"

    digest = reproduced(checkout, tmp_path / "out", 1_600_000_000, built(content))
    assert len(digest) == 64
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x-1-py3-none-any.whl"]
    assert seen == [["a.py"]] * 2


def test_a_path_that_gets_into_a_wheel_is_found(checkout):
    with pytest.raises(VerificationError, match=r"differ: x/a\.py"):
        reproduced(checkout, build=built(lambda place, epoch: str(place)))
