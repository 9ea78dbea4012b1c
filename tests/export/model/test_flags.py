"""Model facts as flags: what they set, what they must not set, and what they refuse."""

import json
import os

import pytest

from edge_export.model.flags import NO_VERDICT, confirmed, lay_over, read_facts_file, read_labels
from edge_export.model.metadata import GUESS
from edge_export.state import FactFlags, KnownFacts
from edge_runtime.bundle.facts import TensorSpec, VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import DataError, UsageError

GUESSED = KnownFacts(
    preprocess=Preprocess(64, 64), postprocess=Detect(), notes=("guess: the input is rgb", "guess: the outputs are x")
).found_in(GUESS)

KNOWN = KnownFacts(preprocess=Preprocess(64, 64), postprocess=Detect()).found_in("ultralytics metadata")


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("scratch\ndent\n")
    return path


@pytest.mark.parametrize("flags", [FactFlags(ng_classes=("scratch",)), FactFlags(ok_classes=("good",))])
def test_classes_of_a_verdict_need_labels(flags):
    with pytest.raises(UsageError, match="needs --labels"):
        lay_over(GUESSED, flags, ())


def test_numbered_classes_need_none(labels):
    rule = lay_over(KNOWN, FactFlags(ng_classes=("class_0", "class_12")), ()).verdict
    assert rule == VerdictRule("any", classes=("class_0", "class_12"))
    assert lay_over(KNOWN, FactFlags(labels=labels, ng_classes=("dent",)), ()).verdict is not None
    with pytest.raises(UsageError, match="'hole' is not one of the labels"):
        lay_over(GUESSED, FactFlags(labels=labels, ng_classes=("hole",)), ())


def test_a_facts_file_that_names_classes_needs_labels_too(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text(json.dumps({"verdict": {"rule": "any", "classes": ["scratch"]}}))
    with pytest.raises(UsageError, match="the verdict rule needs --labels"):
        lay_over(GUESSED, FactFlags(file=path), ())


def test_what_is_guessed_gives_no_verdict_and_says_how_to_get_one():
    facts = lay_over(GUESSED, FactFlags(), ())
    assert facts.verdict is None
    assert "--colour" in facts.notes[-1]
    assert "--format" in facts.notes[-1]
    assert "--evaluate" in facts.notes[-1]


@pytest.mark.parametrize(
    "flags",
    [
        FactFlags(ng_classes=("class_0",)),
        FactFlags(confidence=0.3),
        FactFlags(postprocess={"box": "cxcywh"}, preprocess={"colour": "rgb"}),
        FactFlags(task="detect", preprocess={"colour": "rgb"}),
    ],
)
def test_a_verdict_that_is_asked_for_confirms_nothing(flags):
    facts = lay_over(GUESSED, flags, ())
    assert facts.verdict is None
    assert facts.unconfirmed is not None
    assert facts.notes[-1].startswith(NO_VERDICT)


def test_data_that_fit_confirm_what_was_guessed():
    facts = confirmed(lay_over(GUESSED, FactFlags(ng_classes=("class_0",)), ()), "labelled images")
    assert facts.verdict == VerdictRule("any", classes=("class_0",))
    assert facts.notes == ()
    assert set(facts.origin.values()) == {"labelled images"}


@pytest.mark.parametrize(
    ("preprocess", "told", "rule"),
    [
        ({"colour": "rgb", "scale": 1.0, "fit": "stretch"}, {"format": "yolo"}, VerdictRule("any")),
        ({"colour": "rgb", "scale": 1.0, "fit": "stretch"}, {}, None),
        ({"colour": "rgb"}, {"format": "yolo"}, None),
        ({"scale": 1.0, "fit": "stretch"}, {"format": "yolo"}, VerdictRule("any")),
        ({"scale": 1.0, "colour": "rgb"}, {"format": "yolo"}, VerdictRule("any")),
        ({}, {"format": "yolo"}, None),
        ({"width": 32, "height": 32}, {"format": "yolo"}, None),
    ],
)
def test_flags_confirm_a_guess_even_where_they_say_the_same(preprocess, told, rule):
    facts = lay_over(GUESSED, FactFlags(task="detect", preprocess=preprocess, postprocess=told), ())
    assert facts.verdict == rule
    assert sum(note.startswith("guess:") for note in facts.notes) == (
        (facts.origin["preprocess"] == GUESS or not {"fit", "colour"} <= set(preprocess))
        + (facts.origin["postprocess"] == GUESS)
    )


def test_one_flag_says_what_it_says_and_leaves_the_note_about_the_rest():
    facts = lay_over(GUESSED, FactFlags(task="detect", preprocess={"colour": "bgr"}), ())
    assert facts.preprocess == Preprocess(64, 64, colour="bgr")
    assert any(note.startswith("guess: the input is bgr pixels 0..1, stretched") for note in facts.notes)


def test_a_format_that_several_rows_have_decides_nothing():
    flags = FactFlags(
        preprocess={"colour": "rgb", "scale": 1.0, "fit": "stretch"}, task="detect", postprocess={"format": "yolo"}
    )
    assert lay_over(GUESSED, flags, (), several=True).verdict is None


def test_what_the_models_file_says_gives_a_verdict():
    known = KnownFacts(preprocess=Preprocess(64, 64), postprocess=Detect()).found_in("Ultralytics metadata")
    assert lay_over(known, FactFlags(preprocess={"width": 32, "height": 32}), ()).verdict == VerdictRule("any")


def test_outputs_are_named_for_every_task():
    assert lay_over(GUESSED, FactFlags(postprocess={"outputs": ["b", "s"]}), ()).postprocess == Detect(
        outputs=("b", "s")
    )
    for task, kind in (("classify", Classify), ("segment", Segment)):
        facts = lay_over(GUESSED, FactFlags(task=task, postprocess={"outputs": ["b"]}), ())
        assert facts.postprocess == kind(output="b")
        with pytest.raises(UsageError, match="reads one output"):
            lay_over(GUESSED, FactFlags(task=task, postprocess={"outputs": ["b", "s"]}), ())


def test_an_anomaly_model_is_described_by_flags():
    given = {"map_output": "m", "normalize": True, "minimum": 0.0, "maximum": 40.0, "raw_threshold": 17.0}
    facts = lay_over(GUESSED, FactFlags(task="anomaly", postprocess=given), ())
    assert facts.postprocess == Anomaly(map_output="m", normalize=True, maximum=40.0, raw_threshold=17.0)


@pytest.mark.parametrize("text", ["[]", "3", "[" * 100_000, '{"colour": "rgb"}', "no json"])
def test_a_facts_file_of_another_form_is_one_line(tmp_path, text):
    path = tmp_path / "facts.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"facts\.json"):
        read_facts_file(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="no regular file"):
        read_facts_file(tmp_path / "pipe")
    with pytest.raises(DataError, match="no regular file"):
        read_labels(tmp_path / "pipe")


def test_two_classes_of_one_name_are_fine_until_a_verdict_names_them(labels):
    labels.write_text("crane\ndent\ncrane\n")
    assert lay_over(GUESSED, FactFlags(labels=labels), ()).labels == ("crane", "dent", "crane")
    assert lay_over(KNOWN, FactFlags(labels=labels, ng_classes=("dent",)), ()).verdict is not None
    with pytest.raises(UsageError, match="2 classes are called 'crane'"):
        lay_over(GUESSED, FactFlags(labels=labels, ng_classes=("crane",)), ())


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((1, 3, "h", "w"), "float32", Preprocess(32, 24)),
        ((1, 1, "h", "w"), "float32", Preprocess(32, 24, colour="gray", mean=(0.0,), std=(1.0,))),
        ((1, "h", "w", 3), "uint8", Preprocess(32, 24, layout="nhwc", dtype="uint8", scale=1.0)),
    ],
)
def test_a_size_alone_takes_the_rest_from_the_inputs_form(shape, dtype, expected):
    flags = FactFlags(preprocess={"width": 32, "height": 24})
    facts = lay_over(KnownFacts(), flags, (TensorSpec("x", dtype, shape),))
    assert facts.preprocess == expected
    assert facts.origin["preprocess"] == GUESS
