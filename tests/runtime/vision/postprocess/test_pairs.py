"""Queries of the later DETRs are scored for each class by itself, and may be reported for two."""

from __future__ import annotations

import numpy as np

from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.detect import candidates

PLACE = Placement(32, 32, 32, 32, 1.0, 1.0, 0.0, 0.0)


def read(logits, confidence=0.5, **more):
    count = len(logits)
    boxes = np.tile(np.array([0.5, 0.5, 0.25, 0.25], np.float32), (count, 1))
    post = Detect(
        format="boxes-scores", outputs=("boxes", "logits"), normalized=True, activation="sigmoid", nms=False, **more
    )
    outputs = (TensorSpec("boxes", "float32", (1, count, 4)), TensorSpec("logits", "float32", (1, count, 3)))
    inputs = (TensorSpec("x", "float32", (1, 3, 32, 32)),)
    facts = ModelFacts(inputs, outputs, None, post, (), Thresholds(), VerdictRule())
    arrays = {"boxes": boxes[None], "logits": np.asarray(logits, np.float32)[None]}
    (found,) = candidates(post, facts, arrays, [PLACE], confidence)
    return list(
        zip(found.rows.tolist(), found.classes.tolist(), np.round(found.scores.astype(float), 2).tolist(), strict=True)
    )


def test_a_query_of_two_classes_is_reported_for_both():
    assert read([[3, 2, -5], [-5, -5, 1], [-5, -5, -5]]) == [(0, 0, 0.95), (0, 1, 0.88), (1, 2, 0.73)]


def test_as_many_are_reported_as_there_are_queries_the_best_first():
    assert read([[3, 2, 1], [-5, -5, 2.5]]) == [(0, 0, 0.95), (1, 2, 0.92)]


def test_the_background_and_ids_before_the_first_are_left_out():
    assert read([[3, 2, -5]], background="first") == [(0, 0, 0.88)]
    assert read([[3, 2, -5]], first_class=1) == [(0, 0, 0.88)]
