import dataclasses

import pytest
from repair_cases import calibrated, noise, uneven_convnet

from edge_export.pipeline import QuietProgress
from edge_export.quant.repair.accept import repaired
from edge_runtime.errors import ModelError


@pytest.fixture(scope="module")
def draft():
    return calibrated(uneven_convnet(), noise(3), noise(2, seed=2), effort="good")


def coarser(draft, factor):
    params = {name: dataclasses.replace(one, scale=factor * one.scale) for name, one in draft.params.items()}
    return dataclasses.replace(draft, params=params)


def test_a_repair_that_gains_is_kept_and_reported(draft):
    worse = coarser(draft, 4.0)
    found = repaired(worse, QuietProgress(), "finer ranges", ("good",), lambda *_: (draft, "steps made smaller"))
    assert found.params == draft.params
    start, stage = found.stages
    assert start.name == "all int8, ranges searched"
    assert (stage.name, stage.kept, stage.agreement) == ("finer ranges", True, None)
    assert stage.note.startswith("steps made smaller: +")


def test_a_repair_that_gains_nothing_is_undone_and_reported(draft):
    progress = QuietProgress()
    found = repaired(
        draft, progress, "coarser ranges", ("good",), lambda *_: (coarser(draft, 4.0), "steps made larger")
    )
    assert found.params == draft.params
    assert not found.stages[-1].kept
    assert found.stages[-1].note.endswith("dB, undone")
    assert progress.notes == [f"coarser ranges: {found.stages[-1].note}"]


def test_a_repair_that_fails_is_reported_and_never_ends_the_export(draft):
    def fail(*_):
        raise ModelError("onnxruntime cannot run the model: no memory")

    found = repaired(draft, QuietProgress(), "rounding", ("good",), fail)
    assert found.stages[-1].note == "not done: onnxruntime cannot run the model: no memory"
    assert dataclasses.replace(found, stages=()) == draft


@pytest.mark.parametrize("changes", [{"effort": "fast"}, {"quantize": "fp16"}])
def test_nothing_happens_where_a_repair_was_not_asked_for(draft, changes):
    other = dataclasses.replace(draft, options=dataclasses.replace(draft.options, **changes))
    assert repaired(other, QuietProgress(), "x", ("good",), pytest.fail) is other


def test_nothing_happens_without_calibration_or_change(draft):
    bare = dataclasses.replace(draft, params=None)
    assert repaired(bare, QuietProgress(), "x", ("good",), pytest.fail) is bare
    assert repaired(draft, QuietProgress(), "x", ("good",), lambda *_: None) is draft
