"""What an export may replace, and what it finds out before it starts."""

import json
import os

import pytest
from click.testing import CliRunner
from tiny_models import convnet, save

from edge_export.cli.command import edge_export_command
from edge_export.paths import check_target
from edge_export.pipeline import PASSES, export_bundle
from edge_export.state import ExportOptions
from edge_runtime.errors import DataError, EdgelineError, OutputError, UsageError


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return save(convnet(), tmp_path_factory.mktemp("source") / "m.onnx")


def fp32(source, target):
    return export_bundle(ExportOptions(str(source), target, quantize="fp32"))


@pytest.mark.parametrize(
    "text", ["{}", "[]", "no json", '{"name": "web app"}', '{"schema": 1, "blocks": [], "files": 3}']
)
def test_a_folder_with_some_manifest_is_never_replaced(source, tmp_path, text):
    project = tmp_path / "project"
    project.mkdir()
    (project / "manifest.json").write_text(text)
    (project / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not a bundle"):
        fp32(source, project)
    assert (project / "thesis.txt").read_text() == "years of work"


def test_a_bundle_with_a_stranger_in_it_is_not_replaced_and_without_it_is(source, tmp_path):
    target = tmp_path / "m.edge"
    fp32(source, target)
    (target / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"thesis\.txt"):
        fp32(source, target)
    (target / "thesis.txt").unlink()
    fp32(source, target)
    assert (target / "weights.bin").is_file()


def test_a_listed_name_that_is_a_folder_is_kept(tmp_path):
    target = tmp_path / "m.edge"
    (target / "notes").mkdir(parents=True)
    (target / "manifest.json").write_text(json.dumps({"schema": 1, "blocks": [], "files": {"notes": {}}}))
    with pytest.raises(OutputError, match="notes"):
        check_target(target)


def test_the_current_folder_a_file_and_a_link_are_refused(source, tmp_path, monkeypatch):
    fp32(source, tmp_path / "m.edge")
    monkeypatch.chdir(tmp_path / "m.edge")
    with pytest.raises(OutputError, match="no new folder"):
        fp32(source, tmp_path.__class__())
    assert (tmp_path / "m.edge" / "manifest.json").is_file()
    (tmp_path / "file").write_text("text")
    with pytest.raises(OutputError, match="is a file"):
        check_target(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "m.edge")
    with pytest.raises(OutputError, match="is a link"):
        check_target(tmp_path / "link")


def test_a_parent_that_may_not_be_written_to_is_found_first(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="may not be written"):
        check_target(tmp_path / "m.edge")


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 250])
def test_a_name_that_no_file_system_holds_is_one_line(source, tmp_path, name):
    with pytest.raises(OutputError):
        fp32(source, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_source_of_thousands_of_characters_is_one_line():
    result = CliRunner().invoke(edge_export_command, ["x" * 5000])
    assert isinstance(result.exception, UsageError)
    assert len(str(result.exception)) < 400


@pytest.mark.parametrize("flag", ["calibrate", "evaluate"])
@pytest.mark.parametrize("name", ["absent", "x" * 5000])
def test_data_that_cannot_be_looked_at_is_found_first(source, tmp_path, flag, name):
    options = ExportOptions(str(source), tmp_path / "m.edge", quantize="fp32", **{flag: tmp_path / name})
    with pytest.raises(DataError, match=f"--{flag}"):
        export_bundle(options)


def test_a_failure_while_writing_names_the_pass(source, tmp_path, monkeypatch):
    def fail(draft, progress):
        raise MemoryError

    monkeypatch.setattr("edge_export.pipeline.PASSES", (*PASSES[:-1], ("write", fail)))
    with pytest.raises(EdgelineError, match="write: out of memory"):
        fp32(source, tmp_path / "m.edge")
    assert list(tmp_path.iterdir()) == []


def test_a_source_whose_path_is_not_utf8_stands_in_the_manifest_with_question_marks(source, tmp_path):
    copy = tmp_path / os.fsdecode(b"net\xff.onnx")
    copy.write_bytes(source.read_bytes())
    manifest, _ = fp32(copy, tmp_path / "net.edge")
    assert manifest.model.name == "net?"
    assert manifest.provenance.source.endswith("net?.onnx")


def test_an_output_path_that_onnxruntime_cannot_open_is_refused_first(tmp_path):
    with pytest.raises(OutputError, match="not UTF-8"):
        check_target(tmp_path / os.fsdecode(b"net\xff.edge"))
