"""What to try next: each sentence is there when its measurement is, and only then."""

import dataclasses

import pytest
from certificate_cases import LAYERS, STAGES, comparison, flips, score
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import convnet, samples, save

from edge_export.certificate.advice import advise
from edge_export.certificate.certify import certificate_of
from edge_export.evaluate.data.calibration import RandomCalibration
from edge_export.evaluate.metrics.wilson import most_changed
from edge_export.pipeline import export_bundle
from edge_export.state import ExportOptions, FactFlags
from edge_runtime.bundle.manifest import Latency
from edge_runtime.bundle.postprocess_spec import Classify


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("advice")
    source = save(convnet(), folder / "m.onnx")
    judged = FactFlags(ok_classes=("class_1",))
    _, draft = export_bundle(ExportOptions(str(source), folder / "m.edge", quantize="fp32", flags=judged))
    return draft


@pytest.fixture
def draft(exported):
    """An int8 draft with nothing wanting: few changes, measured on labels, faster."""
    return dataclasses.replace(
        exported,
        options=dataclasses.replace(exported.options, quantize="int8", max_drop=0.02, evaluate=exported.options.output),
        params={},
        calibration=Samples(64),
        precision=LAYERS,
        stages=STAGES,
        latency=Latency("a machine", 2, 40.0, 22.0),
        comparison=comparison(),
        flips=None,
    )


class Samples(list):
    """As much of a calibration set as advice looks at."""

    def __init__(self, count):
        super().__init__(samples(1) for _ in range(count))
        self.description = f"{count} samples"


def said(draft):
    return " ".join(advise(draft))


def test_nothing_is_said_where_nothing_is_wanting(draft):
    assert advise(draft) == ()


def test_a_classifier_without_a_rule_is_told_what_its_verdict_needs(draft):
    facts = dataclasses.replace(draft.facts, verdict=None, unconfirmed=None, labels=("good", "bad"))
    words = said(dataclasses.replace(draft, facts=facts))
    assert "--ok-classes" in words
    assert "(of good, bad)" in words
    assert "--labels" in said(dataclasses.replace(draft, facts=dataclasses.replace(facts, labels=None)))


def test_a_drop_beyond_the_allowed_names_what_can_be_done_about_it(draft):
    words = said(dataclasses.replace(draft, comparison=comparison(drop=0.05)))
    assert "top1 fell by 0.0500 on 94 images, allowed are 2.0 %" in words
    assert "--effort best" in words
    assert "--keep-fp16 auto --keep-fp16 conv1" in words
    assert "conv2" not in words  # not measured
    assert "edge_export.qat" in words
    assert "64 or more" not in words


def test_few_calibration_samples_are_named_where_accuracy_dropped(draft):
    lossy = dataclasses.replace(draft, comparison=comparison(drop=0.05), calibration=Samples(12))
    assert "Ranges were taken from 12 samples" in said(lossy)
    assert "12 samples" not in said(dataclasses.replace(draft, calibration=Samples(12)))


def test_the_best_effort_is_not_advised_to_who_made_it(draft):
    best = dataclasses.replace(draft.options, effort="best")
    assert "--effort best" not in said(dataclasses.replace(draft, options=best, comparison=comparison(drop=0.05)))


def test_names_with_odd_characters_can_be_pasted_into_a_shell(draft):
    odd = (dataclasses.replace(LAYERS[1], node="a layer;rm"), *LAYERS[2:])
    words = said(dataclasses.replace(draft, precision=odd, comparison=comparison(drop=0.05)))
    assert "--keep-fp16 'a layer;rm'" in words


def test_int8_that_is_not_faster_is_said_with_the_machine(draft):
    slow = dataclasses.replace(draft, latency=Latency("a machine", 1, 40.0, 44.0))
    assert "On a machine, 1 thread the bundle takes 1.10x the time" in said(slow)


def test_noise_as_calibration_is_said(draft):
    assert "random noise" in said(dataclasses.replace(draft, calibration=RandomCalibration(draft.inputs)))


def test_an_interval_wider_than_the_drop_in_question_asks_for_more_images(draft):
    words = said(dataclasses.replace(draft, comparison=comparison(half=0.04)))
    assert "to within 0.040" in words
    assert "about 380 would" in words  # 94 * (0.04 / 0.02)^2 = 376


def test_recall_that_fell_while_the_leading_figure_held_is_said(draft):
    changes = (score("map50", 0.0), score("recall", -0.04), score("precision", -0.001))
    words = said(dataclasses.replace(draft, comparison=dataclasses.replace(comparison(), difference=changes)))
    assert words == "map50 held, but recall fell by 0.0400 at the reporting threshold: another --conf may win it back."


def test_without_labels_agreement_is_not_called_accuracy(draft):
    facts = dataclasses.replace(draft.facts, postprocess=Classify())
    options = dataclasses.replace(draft.options, evaluate=None)
    words = said(dataclasses.replace(draft, comparison=None, flips=flips(), facts=facts, options=options, stages=()))
    assert "--evaluate" in words
    assert "2 of 94 held-back images changed" in words


def test_fp32_is_told_what_int8_would_bring(exported):
    assert (
        said(exported)
        == "The weights stay FP32: --quantize int8 with --calibrate makes most of them a quarter of that."
    )


@given(st.integers(1, 10_000), st.data())
def test_the_bound_on_changes_lies_above_the_share_and_falls_with_more_images(images, data):
    changed = data.draw(st.integers(0, images))
    bound = most_changed(changed, images)
    assert changed / images <= bound + 1e-12
    assert bound <= 1.0
    assert most_changed(10 * changed, 10 * images) <= bound + 1e-12


def test_no_change_in_sixteen_images_bounds_it_at_seventeen_percent():
    assert most_changed(0, 16) == pytest.approx(0.1707, abs=1e-4)
    assert most_changed(0, 0) == 1.0


def test_the_certificate_holds_what_the_draft_holds(draft):
    made = certificate_of(draft)
    assert made.stages == STAGES
    assert made.target == "a machine"
    assert made.max_drop == 0.02
    assert made.held_back == draft.holdout.description
    assert certificate_of(dataclasses.replace(draft, latency=None)).target == ""
