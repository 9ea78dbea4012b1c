"""Tuned profiles on disk, and what edge-run takes from them."""

import json
import os
from dataclasses import replace

import pytest
from tuning_fakes import PaperRig, provenance, space, tuning

from edge_devices import Core, Machine, Profile, usable_cores
from edge_devices.profile import Match
from edge_runtime.errors import OutputError
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.plan.measurements import Speeds
from edge_runtime.tune.choice import Choice
from edge_runtime.tune.settings import settings_for
from edge_runtime.tune.store import cpu_key, file_name, read_tuned, tuned_folder, write_tuned

SHA = "cd" * 32
VERSION = import_onnxruntime().__version__


@pytest.fixture(scope="module")
def tuned():
    """A profile as this machine would have it."""
    found = tuning(PaperRig(lambda choice: 100.0 * choice.lanes), space(2))
    found.run()
    name = file_name("tiny", SHA, cpu_key(), VERSION).replace(".json", ".samples.csv")
    result = found.result("tiny", SHA, provenance(onnxruntime=VERSION, samples=name, cpu_key=cpu_key()))
    assert result is not None
    return replace(result, speeds=Speeds(1e8, 2e9, usable_cores()), throughput=replace(result.throughput, cores=()))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "edgeline" / "tuned"


def test_what_was_written_is_read(tuned, folder):
    path = write_tuned(tuned, "seconds,phase,choice,batch_ms\n")
    assert path.parent == folder == tuned_folder()
    assert (folder / tuned.provenance.samples).read_text().startswith("seconds,")
    found = read_tuned(SHA)
    assert (found.tuned, found.path, found.refused) == (tuned, path, ())


def test_without_a_profile_nothing_is_said():
    found = read_tuned(SHA)
    assert (found.tuned, found.refused) == (None, ())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"provenance": provenance(onnxruntime=VERSION, cpu_key="00000000", cpu="A72")}, "another processor (A72)"),
        ({"provenance": provenance(onnxruntime="1.0", cpu_key=cpu_key())}, "onnxruntime 1.0, this is"),
        ({"speeds": Speeds(1.0, 1.0, 4096)}, "4096 cores"),
        ({"latency": Choice(1, 1, 1, False, (), "AbacusExecutionProvider")}, "AbacusExecutionProvider is not in"),
        ({"latency": Choice(0, 1, 1, False, ())}, "(0 threads, 1 lanes, batch 1) cannot run"),
        ({"throughput": Choice(1, 1, 1, False, (99999,))}, "not all allowed"),
    ],
)  # fmt: skip
def test_a_profile_that_does_not_hold_here_is_refused_with_the_reason(tuned, change, why):
    write_tuned(replace(tuned, **change), "")
    found = read_tuned(SHA)
    assert found.tuned is None
    (line,) = found.refused
    assert why in line
    assert "run edge-tune again" in line


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema": 2}', b"[" * 100_000])
def test_a_damaged_profile_is_refused_and_raises_nothing(tuned, damage):
    path = write_tuned(tuned, "")
    path.write_bytes(damage)
    found = read_tuned(SHA)
    assert found.tuned is None
    assert "damaged or of another version" in found.refused[0]


def test_every_truncation_is_refused(tuned):
    path = write_tuned(tuned, "")
    payload = path.read_bytes()
    for length in range(0, len(payload) - 2, 97):
        path.write_bytes(payload[:length])
        assert read_tuned(SHA).tuned is None


def test_another_bundle_whose_hash_begins_alike_is_not_taken(tuned):
    write_tuned(tuned, "")
    found = read_tuned(SHA[:12] + "00" * 26)
    assert (found.tuned, found.refused) == (None, ())


def test_an_interrupted_run_does_not_replace_a_whole_one(tuned, folder):
    whole = write_tuned(tuned, "a")
    later = replace(tuned.provenance, created_utc="2027-01-01T00:00:00Z")
    part = write_tuned(replace(tuned, complete=False, provenance=later), "b")
    assert part.name.endswith(".part.json")
    assert read_tuned(SHA).path == whole
    assert len(list(folder.glob("*.samples.csv"))) == 2


def test_an_interrupted_run_is_taken_until_a_whole_one_is_there(tuned, folder):
    part = write_tuned(replace(tuned, complete=False), "b")
    assert read_tuned(SHA).path == part
    whole = write_tuned(tuned, "a")
    assert read_tuned(SHA).path == whole
    assert sorted(folder.iterdir()) == sorted([whole, folder / tuned.provenance.samples])


def test_a_model_s_name_becomes_a_plain_file_name():
    name = file_name("../a b/ü", SHA, "12345678", "1.20.0+cu")
    assert name == "_a_b__-cdcdcdcdcdcd-12345678-1.20.0+cu.json"
    assert file_name("", SHA, "1", "1").startswith("model-")


def test_a_folder_that_cannot_be_written_is_an_error(tuned, tmp_path):
    (tmp_path / "edgeline").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        write_tuned(tuned, "")
    assert read_tuned(SHA).tuned is None


def machine(*cores):
    return Machine("aarch64", cores=cores, usable_cores=len(cores))


def profile(**changes):
    return replace(Profile("paper", "Paper", "aarch64", "", Match(), (), (), ()), **changes)


def test_a_tuned_bundle_runs_as_it_was_tuned(tuned):
    write_tuned(tuned, "")
    latency, throughput = settings_for(SHA), settings_for(SHA, goal="throughput")
    assert latency.choice == tuned.latency
    assert throughput.choice == tuned.throughput
    assert throughput.tuned == tuned
    assert "as edge-tune measured for throughput on 2026-01-02" in throughput.why


def test_without_tuning_the_board_s_profile_says(tuned):
    cores = tuple(Core(n) for n in range(4))
    found = settings_for(SHA, machine(*cores), profile(threads=3, spinning=True))
    assert found.choice == Choice(3, 1, 1, True, ())
    assert "the profile paper" in found.why


def test_a_profile_without_threads_takes_the_big_cores():
    cores = (Core(4, 2400, 1024), Core(5, 2400, 1024), Core(0, 1800, 414), Core(1, 1800, 414))
    assert settings_for(SHA, machine(*cores), profile()).choice == Choice(2, 1, 1, False, (4, 5))


def test_most_images_a_second_come_of_a_run_on_each_core_where_the_profile_says_so():
    cores = (Core(4, 2400, 1024), Core(5, 2400, 1024), Core(0, 1800, 414))
    paper = profile(spinning=True, one_thread_lanes=True)
    found = settings_for(SHA, machine(*cores), paper, "throughput", served=True)
    assert found.choice == Choice(1, 2, 1, False, (4, 5))
    assert settings_for(SHA, machine(*cores), paper, "throughput").choice == Choice(2, 1, 1, True, (4, 5))
    assert settings_for(SHA, machine(*cores), paper).choice == Choice(2, 1, 1, True, (4, 5))
    found = settings_for(SHA, machine(*cores), profile(), "throughput", served=True)
    assert found.choice == Choice(2, 1, 1, False, (4, 5))


def test_a_profile_does_not_take_more_than_there_is():
    assert settings_for(SHA, machine(Core(0)), profile(threads=8, spinning=True)).choice == Choice(1, 1, 1, False, ())


def test_nothing_known_is_all_usable_cores_without_busy_waiting():
    found = settings_for(SHA)
    assert found.choice == Choice(usable_cores(), 1, 1, False, ())
    assert "the default" in found.why


def test_why_a_profile_is_not_taken_reaches_whoever_runs(tuned):
    write_tuned(replace(tuned, speeds=Speeds(1.0, 1.0, 4096)), "")
    found = settings_for(SHA)
    assert found.tuned is None
    assert "4096 cores" in found.refused[0]


def test_the_file_is_plain_json(tuned):
    path = write_tuned(tuned, "")
    assert json.loads(path.read_text())["provenance"]["board"] == "paper"


def test_a_folder_that_others_can_write_is_not_relied_on_and_that_is_said_once(tuned, folder, caplog):
    write_tuned(tuned, "")
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    found = read_tuned(SHA)
    assert found.tuned is None
    (line,) = found.refused
    assert f"running without tuned profiles: others can write into {folder}" in line
    assert [record.message for record in caplog.records] == [line]


def test_a_profile_that_others_can_write_is_refused(tuned):
    write_tuned(tuned, "").chmod(0o666)
    found = read_tuned(SHA)
    assert found.tuned is None
    assert "chmod go-w it; run edge-tune again" in found.refused[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_profile_of_another_user_is_refused(tuned):
    os.chown(write_tuned(tuned, ""), 65534, 65534)
    assert "belongs to another user (uid 65534)" in read_tuned(SHA).refused[0]
