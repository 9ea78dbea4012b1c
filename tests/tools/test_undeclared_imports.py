"""An import is held against what its own part's extras install."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("deptry", reason="deptry comes with the extra dev")

from edge_tools.undeclared_imports import requirements, undeclared

ROOT = Path(__file__).resolve().parents[2]
PROJECT = {
    "name": "edgeline",
    "dependencies": ["click>=8.1"],
    "optional-dependencies": {"cpu": ["onnxruntime"], "zstd": ["zstandard"], "dev": ["edgeline[cpu,zstd]", "pytest"]},
}


@pytest.fixture
def checkout(tmp_path):
    """Files of a checkout by their path."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def write(files):
        for folder in ("devices/edge_devices", "runtime/edge_runtime", "export/edge_export", "tools/edge_tools"):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "samples").mkdir()
        (tmp_path / "tests").mkdir()
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return tmp_path

    return write


def test_extras_that_name_extras_bring_what_those_bring():
    assert requirements(PROJECT, []) == ["click>=8.1"]
    assert requirements(PROJECT, ["dev"]) == ["click>=8.1", "onnxruntime", "zstandard", "pytest"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("samples/pcb/evaluate.py", "from tqdm import tqdm\n"),
        ("runtime/edge_runtime/blocks/loader.py", "import onnx\n"),
        ("runtime/edge_runtime/files/atomic.py", "def pack():\n    import zstandard\n"),
        ("export/edge_export/graph/index.py", "import hypothesis\n"),
        ("tools/edge_tools/zoo.py", "import matplotlib.pyplot\n"),
    ],
)
def test_an_import_that_its_extras_do_not_install_is_told_with_its_line(checkout, path, text):
    (line,) = undeclared(checkout({path: text}))
    assert line.startswith(f"{path}:{1 + text.count('def')}: ")


def test_what_is_declared_in_the_standard_library_or_our_own_is_not_told(checkout):
    files = {
        "samples/pcb/evaluate.py": "import json\nimport click\nimport torch\nfrom pcb.defects import NAMES\n",
        "runtime/edge_runtime/blocks/storage.py": "import zstandard\nimport onnxruntime\nimport edge_devices\n",
        "export/edge_export/graph/index.py": "import onnx\nfrom google.protobuf import message\nimport cv2\n",
        "tests/test_it.py": "import pytest\nimport helping\nfrom PIL import Image\n",
        "tests/helping.py": "",
    }
    assert undeclared(checkout(files)) == []
