"""The verdict on top of the report: its sentence has the figures, its tone follows them."""

import dataclasses

import pytest
from certificate_cases import LAYERS, certificate, comparison, findings, manifest
from certificate_cases import score as score_of

from edge_export.certificate.figures import is_arrived, whole_stage
from edge_export.certificate.findings import part_bytes, precision_counts
from edge_export.certificate.headline import headline
from edge_export.certificate.words import milliseconds, percent, score
from edge_runtime.bundle.manifest import Accuracy

QUIET = findings(warnings=())
WITH_RECALL = dataclasses.replace(comparison(), difference=(score_of("top1", 0.0), score_of("recall", -0.03)))


def test_the_sentence_has_size_time_agreement_and_the_change_of_accuracy():
    assert headline(QUIET).sentence == (
        "int8 bundle (3 int8, 1 fp16): 0.21x the bytes, 0.55x the time of FP32, agreement 98.4 % on photos: 94 images, "
        "top1 0.800 to 0.798 (change -0.0020, 95 % -0.0120 to +0.0080)."
    )


def test_without_labels_the_agreement_is_that_of_the_last_kept_step():
    made = manifest(accuracy=())
    said = headline(findings(manifest=made, comparison=None, warnings=()))
    assert "agreement 98.4 % on 16 held-back images" in said.sentence
    assert said.tone == "check"  # 1.6 % are lost, 1 % was allowed


def test_without_any_latency_the_bytes_are_of_fp32():
    made = manifest(certificate=certificate(latency=None))
    assert "0.21x the bytes of FP32, agreement" in headline(findings(manifest=made)).sentence


def test_equal_outputs_are_called_equal():
    made = manifest(accuracy=(Accuracy("sqnr_db logits", "4 samples", None, 120.0),), certificate=None)
    assert "outputs equal to those of FP32 on 4 samples" in headline(findings(manifest=made, comparison=None)).sentence


def test_a_model_that_arrived_quantized_is_not_said_to_be_near_to_fp32():
    nodes = tuple(dataclasses.replace(node, reason="arrived quantized: its scales are kept") for node in LAYERS)
    rows = (Accuracy("sqnr_db y", "4 samples", None, 120.0),)
    made = manifest(precision=nodes, accuracy=rows, certificate=certificate(stages=()))
    assert is_arrived(made)
    said = headline(findings(manifest=made, comparison=None, warnings=())).sentence
    assert "outputs equal to those of the model as it arrived on 4 samples" in said
    twin = (
        Accuracy("sqnr_db y against its own weights in float", "4 samples", None, 31.0),
        Accuracy("agreement against its own weights in float", "4 samples", None, 0.97),
    )
    both = dataclasses.replace(made, accuracy=(*rows, *twin))
    said = headline(findings(manifest=both, comparison=None, warnings=()))
    assert "agreement 97.0 % with its own weights in float on 4 samples" in said.sentence
    assert said.tone == "good"
    assert whole_stage(both).sqnr_db == 31.0


@pytest.mark.parametrize(
    ("given", "tone"),
    [
        (QUIET, "good"),
        (findings(), "check"),
        (findings(comparison=comparison(drop=0.05), warnings=()), "bad"),
        (findings(comparison=comparison(drop=0.015), warnings=()), "check"),
        (findings(comparison=WITH_RECALL, warnings=()), "check"),
        (findings(manifest=manifest(accuracy=(Accuracy("sqnr_db y", "d", None, 6.0),)), warnings=()), "bad"),
        (findings(manifest=manifest(accuracy=(), certificate=None), comparison=None, warnings=()), "check"),
    ],
    ids=["within", "warned", "surely lost", "perhaps lost", "recall lost", "ruined", "not measured"],
)
def test_the_tone_follows_the_measurements(given, tone):
    assert headline(given).tone == tone


def test_the_whole_bundle_is_the_last_step():
    rows = (*comparison().accuracy(), Accuracy("sqnr_db a", "d", None, 30.0), Accuracy("sqnr_db b", "d", None, 25.0))
    last = whole_stage(manifest(accuracy=rows))
    assert (last.sqnr_db, last.agreement) == (25.0, 0.984)
    assert whole_stage(manifest(accuracy=())) is None


def test_the_parts_of_a_bundle_add_up_to_it():
    assert part_bytes(manifest(), 7) == {
        "weights": 50_000,
        "whole graph": 50_000,
        "golden inputs": 50_000,
        "blocks": 50_000,
        "manifest": 7,
    }


def test_precisions_are_counted_in_the_order_of_their_size():
    assert list(precision_counts(LAYERS).items()) == [("int8", 3), ("fp16", 1)]
    assert precision_counts(tuple(dataclasses.replace(node, precision="int4-weights") for node in LAYERS)) == {
        "int4-weights": 4
    }


@pytest.mark.parametrize(
    ("fraction", "words"), [(1.0, "100 %"), (0.99999, "99.9 %"), (0.9949, "99.5 %"), (0.0, "0.0 %"), (0.984, "98.4 %")]
)
def test_a_share_short_of_all_never_reads_as_all(fraction, words):
    assert percent(fraction) == words


def test_figures_are_read_as_their_kind():
    assert score("sqnr_db y", 21.26) == "21.3 dB"
    assert score("max_abs_diff y", 0.000123) == "0.000123"
    assert score("map50", None) == "-"
    assert (milliseconds(0.2413), milliseconds(12.345), milliseconds(1234.4)) == ("0.241 ms", "12.3 ms", "1234 ms")
