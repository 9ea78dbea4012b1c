"""The comparer, the tables, and that mutated graphs answer what they answered, in another layout."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_export.evaluate.scores import Options
from edge_runtime.errors import UsageError
from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result
from edge_tools.families.certified import Promise
from edge_tools.families.compare import compare
from edge_tools.families.mutations import mutations_of
from edge_tools.families.outcome import Outcome, certified, clipped, judged
from edge_tools.families.tables import MatrixRow, MutatedRow, into, matrix, mutations_table, read_rows
from edge_tools.families.truth import Truth, read_truth

BOX = (10.0, 10.0, 50.0, 90.0)


def found(box: tuple[float, ...] = BOX, score: float = 0.9, class_id: int = 0, mask: Mask | None = None) -> Prediction:
    return Prediction("", class_id, score, Box(*box), mask=mask)


def result(verdict: str, *predictions: Prediction) -> Result:
    return Result(verdict, (), predictions)


def test_the_same_box_of_the_same_class_is_found():
    like = compare([([Truth(0, 0.9, BOX)], [found()])], 0.25)
    assert (like.right, like.found, like.wrong, like.box, like.f1) == (1, 1, 0, 1.0, 1.0)


@pytest.mark.parametrize("other", [found(class_id=1), found((200.0, 10.0, 240.0, 90.0))])
def test_another_class_or_place_is_wrong_and_what_was_there_is_not_found(other):
    like = compare([([Truth(0, 0.9, BOX)], [other])], 0.25)
    assert (like.right, like.found, like.wrong) == (1, 0, 1)


def test_what_lies_at_the_threshold_may_be_there_or_not():
    for like in (compare([([Truth(0, 0.26, BOX)], [])], 0.25), compare([([], [found(score=0.26)])], 0.25)):
        assert (like.f1, like.aside) == (1, 1)


def test_a_box_that_was_clipped_to_nothing_counts_for_nobody():
    flat = (640.0, 10.0, 640.0, 90.0)
    assert compare([([Truth(0, 0.9, flat)], [])], 0.25).right == 0
    assert compare([([], [found(flat)])], 0.25).wrong == 0
    like = compare([([Truth(0, 0.9, flat), Truth(0, 0.9, BOX)], [found(flat), found()])], 0.25)
    assert like.aside == 2
    assert MatrixRow("m", "fp32", Outcome("right", "", "NG", like)).cell() == "right, 2 aside"


def test_of_boxes_that_lie_alike_the_one_with_the_nearest_score_is_the_pair():
    truths = [Truth(0, 0.9, BOX), Truth(0, 0.5, BOX)]
    like = compare([(truths, [found(score=0.5), found(score=0.9)])], 0.25)
    assert (like.found, like.wrong, like.score) == (2, 0, 0.0)


def test_masks_are_compared_pixel_by_pixel():
    inside = np.ones((2, 2), np.bool_)
    truth = Truth(0, 0.9, (0.0, 0.0, 2.0, 2.0), size=(4, 4), mask=((0, 2), (4, 6)))
    like = compare([([truth], [found((0.0, 0.0, 2.0, 2.0), mask=Mask(0, 0, inside))])], 0.25)
    assert like.mask == 1
    like = compare([([truth], [found((0.0, 0.0, 2.0, 2.0), mask=Mask(2, 2, inside))])], 0.25)
    assert like.mask == 0


def test_of_anomalies_the_score_and_the_pixels_from_the_limit_on_are_compared():
    heat = np.array([[0, 80], [200, 255]], np.uint8)
    told = Result("NG", (), (), 0.7, heat)
    right = [Truth(0, 0.7), Truth(1, 1.0, size=(2, 2), mask=((2, 4),))]
    assert judged([(right, told)], 0.5).word == "right"
    assert judged([(right, told)], 0.3).word == "WRONG"
    assert judged([([Truth(0, 0.9), right[1]], told)], 0.5).word == "WRONG"
    assert judged([(right, dataclasses.replace(told, mask=heat.T))], 0.5).word == "WRONG"


def test_wrong_boxes_with_a_verdict_are_wrong_in_silence_and_without_one_said():
    truths, other = [Truth(0, 0.9, BOX)], found((200.0, 10.0, 240.0, 90.0))
    assert judged([(truths, result("NG", found()))], 0.25).word == "right"
    assert judged([(truths, result("NG", other))], 0.25).word == "WRONG"
    assert judged([(truths, result("OK"))], 0.25).word == "WRONG"
    assert judged([(truths, result("NO_READ", other))], 0.25).word == "said"


TRUTHS = [Truth(0, 0.9, BOX)]
RIGHT, ROUNDED = (TRUTHS, result("NG", found())), (TRUTHS, result("NG", found(score=0.6)))
LOST = (TRUTHS, result("OK"))
DETECT = Options(task="detect")


def test_a_score_that_differs_is_another_answer_in_fp32_and_rounding_in_int8():
    assert judged([ROUNDED], 0.25).word == "WRONG"
    told = certified([ROUNDED] * 9, [RIGHT] * 9, [Promise("box_f1", 1.0, 0.9)], DETECT)
    assert (told.word, told.promise.measured) == ("right", 1.0)


def test_int8_of_a_layout_that_fp32_misreads_is_wrong_whatever_its_certificate_promises():
    told = certified([LOST], [LOST], [], DETECT)
    assert (told.word, told.why) == ("WRONG", "in FP32: 0 of 1 found, 0 wrong")


def test_a_certificate_that_promises_more_than_is_measured_is_wrong():
    told = certified([LOST] * 9, [RIGHT] * 9, [Promise("box_f1", 0.98, 0.9)], DETECT)
    assert told.word == "WRONG"
    assert "states box_f1 0.98, at least 0.90, and 0.00 was measured" in told.why
    # Also where nothing is judged: the certificate is wrong.
    silent = [(TRUTHS, result("NO_READ"))] * 9
    assert certified(silent, [RIGHT] * 9, [Promise("box_f1", 0.98, 0.9)], DETECT).word == "WRONG"


def test_a_certificate_that_promises_little_is_said_to_with_what_the_export_tells():
    told = certified([LOST] * 3, [RIGHT] * 3, [Promise("box_f1", 1.0, 0.1)], DETECT)
    assert told.word == "right"
    cell = MatrixRow("m", "fast", dataclasses.replace(told, told="Too few")).cell()
    assert (
        "promises little (box_f1 0.00, promised 0.10: by chance, as few pictures may; the export says: Too few)" in cell
    )
    nothing = certified([LOST], [RIGHT], [], DETECT)
    assert "promises nothing" in MatrixRow("m", "fast", dataclasses.replace(nothing, told="Too few")).cell()


def test_what_fp32_misses_itself_is_not_taken_from_int8():
    promise = Promise("mask_f1", 1.0, 0.95, measured=0.9, at_most=0.92, fp32=0.95)
    assert promise.kept
    assert not dataclasses.replace(promise, fp32=1.0).kept


def test_right_answers_have_all_parts_that_certificates_speak_of():
    inside = np.ones((2, 2), np.bool_)
    truth = Truth(0, 0.9, (0.0, 0.0, 2.0, 2.0), points=((1.0, 1.0, 1.0),), size=(4, 4), mask=((0, 2), (4, 6)))
    seen = dataclasses.replace(found((0.0, 0.0, 2.0, 2.0), mask=Mask(0, 0, inside)), points=(Point(1.0, 1.0),))
    pair = ([truth], result("NG", seen))
    promises = [Promise("box_f1", 1.0, 1.0), Promise("mask_f1", 1.0, 1.0), Promise("points_f1", 1.0, 1.0)]
    told = certified([pair], [pair], promises, dataclasses.replace(DETECT, parts=("masks", "points")))
    assert (told.word, told.promise.measured) == ("right", 1.0)
    area = Truth(1, 1.0, size=(4, 4), mask=((0, 8),))
    mask = np.zeros((4, 4), np.uint8)
    mask[:2] = 1
    pair = ([area], Result("NG", (), (), mask=mask))
    told = certified([pair], [pair], [Promise("mask_miou", 1.0, 1.0)], Options(task="segment"))
    assert (told.word, told.promise.measured) == ("right", 1.0)


def test_what_comes_after_the_most_answers_that_a_package_gives_is_not_wrong():
    flat = [Truth(0, 0.8, (640.0, 10.0, 640.0, 90.0))] * 300
    assert compare([(flat, [found(score=0.5)])], 0.25).wrong == 0
    assert compare([(flat[1:], [found(score=0.5)])], 0.25).wrong == 1


def test_answers_are_read_with_all_their_parts(tmp_path):
    row = {
        "class": 1,
        "score": 0.5,
        "box": [0, 0, 2, 2],
        "points": [[1, 1, 1]],
        "mask": {"size": [4, 4], "runs": [[0, 2]]},
    }
    (tmp_path / "m.answers.json").write_text(json.dumps({"a.jpg": [row]}))
    truth = read_truth(tmp_path / "m.answers.json")["a.jpg"][0]
    assert truth == Truth(1, 0.5, (0, 0, 2, 2), (), ((1, 1, 1),), (4, 4), ((0, 2),))


def finished_model() -> tuple[onnx.ModelProto, np.ndarray]:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0], rows[0, 1] = (32, 64, 160, 128, 0.9, 1), (16, 16, 48, 64, 0.6, 0)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 320, 320])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 300, 6])],
        [numpy_helper.from_array(rows, "rows"), numpy_helper.from_array(np.array(0, np.float32), "zero")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in {"task": "detect", "names": "{0: 'a', 1: 'b'}", "imgsz": "[320, 320]"}.items():
        model.metadata_props.add(key=key, value=value)
    return model, rows


MODEL, ROWS = finished_model()


@pytest.mark.parametrize("mutation", list(mutations_of(MODEL)), ids=lambda mutation: mutation.name)
def test_a_mutated_model_still_runs_and_gives_numbers(mutation):
    changed = mutation.change(MODEL)
    session = onnxruntime.InferenceSession(changed.SerializeToString())
    kinds = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
    value = session.get_inputs()[0]
    shape = [d if isinstance(d, int) else {"batch": 1}.get(d, 320) for d in value.shape]
    outputs = session.run(None, {value.name: np.zeros(shape, kinds[value.type])})
    assert all(np.isfinite(out).all() for out in outputs)
    assert sum(np.isclose(np.asarray(out, np.float64), 0.9, atol=1e-3).sum() for out in outputs) == 1


def test_normalised_centres_are_the_same_boxes():
    mutation = next(one for one in mutations_of(MODEL) if one.name == "finished: centres normalised")
    session = onnxruntime.InferenceSession(mutation.change(MODEL).SerializeToString())
    (out,) = session.run(None, {"images": np.zeros((1, 3, 320, 320), np.float32)})
    assert out[0, 0] == pytest.approx((0.3, 0.3, 0.4, 0.2, 0.9, 1))


def test_the_tables_count_what_came_of_it():
    like = compare([([Truth(0, 0.9, BOX)], [found()])], 0.25)
    right, said = Outcome("right", "", "NG", like), Outcome("said", "raw tensors")
    text = matrix([MatrixRow("m", "fp32", right), MatrixRow("m", "good", said)])
    assert "| m | 1 | right | said: raw tensors |" in text
    assert "- fp32: 1 models: 1 right" in text
    assert "- good: 1 models: 0 right, 1 said" in text
    text = mutations_table([MutatedRow("m", "a", right), MutatedRow("m", "b", said)])
    assert "| a | 1 | 1 | 0 | 0 |" in text
    assert "2 layouts: 1 right, 1 said" in text
    assert math.isclose(like.box, 1)


def test_a_cell_says_where_nothing_was_there_to_find_and_where_no_verdict_came():
    nothing = Outcome("right", "", "NO_READ", compare([([], [])], 0.25))
    assert MatrixRow("m", "fp32", nothing).cell() == "right: nothing to find, no verdict"


def test_a_row_is_read_as_it_was_written():
    row = MatrixRow("m", "fp32", Outcome("right", "", "NG", compare([([Truth(0, 0.9, BOX)], [found()])], 0.25)))
    again = MatrixRow.of(row.line())
    assert (again.model, again.form, again.cell()) == ("m", "fp32", "right")
    assert MatrixRow.of(MatrixRow("m", "good", Outcome("said", "raw tensors")).line()).outcome.likeness is None
    promised = dataclasses.replace(row.outcome, promise=Promise("box_f1", 1.0, 0.9, 1.0, 1.0, 1.0), told="good")
    assert MatrixRow.of(MatrixRow("m", "fast", promised).line()).outcome.promise == promised.promise
    old = json.loads(row.line())
    del old["outcome"]["promise"], old["outcome"]["told"]
    assert MatrixRow.of(json.dumps(old)).cell() == "right"


def test_a_table_goes_between_its_markers():
    text = "before\n<!-- t -->\nold\n<!-- /t -->\nafter\n"
    assert into(text, "t", "new") == "before\n<!-- t -->\n\nnew\n\n<!-- /t -->\nafter\n"
    with pytest.raises(UsageError, match="no lines"):
        into("nothing", "t", "new")


def test_points_that_are_not_known_are_not_compared():
    seen = dataclasses.replace(found(), points=(Point(1.0, 2.0, 0.9),))
    like = compare([([Truth(0, 0.9, BOX)], [seen])], 0.25)
    assert (like.found, math.isnan(like.point)) == (1, True)


def test_rows_that_were_written_are_read_again_the_last_of_each(tmp_path):
    like = compare([([Truth(0, 0.9, BOX)], [found()])], 0.25)
    rows = [
        MutatedRow("m", "a", Outcome("said", "raw tensors")),
        MutatedRow("m", "a", Outcome("right", "", "NG", like)),
        MutatedRow("m", "b", Outcome("said", "raw tensors")),
    ]
    (tmp_path / "rows").write_text("".join(json.dumps(dataclasses.asdict(row)) + "\n" for row in rows))
    read = read_rows(tmp_path / "rows")
    assert [(row.mutation, row.outcome.word) for row in read] == [("a", "right"), ("b", "said")]
    assert read[0].outcome.likeness.found == 1


def test_scores_as_logits_are_written_for_graphs_of_old_versions_too():
    model, _ = finished_model()
    model.opset_import[0].version = 10
    del model.graph.node[0].attribute[:]
    rows = np.zeros((1, 6, 2100), np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(rows, "rows"))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, 2100]))
    wanted = next(one for one in mutations_of(model) if one.name == "rows: scores as logits")
    onnx.checker.check_model(wanted.change(model))


def test_an_object_with_hardly_a_pixel_may_be_there_or_not():
    few = Mask(0, 0, np.eye(40, dtype=np.bool_))
    box = (0.0, 0.0, 40.0, 40.0)
    thin = Truth(0, 0.9, box, size=(40, 40), mask=((0, 1),))
    assert compare([([], [found(box, mask=few)])], 0.25).wrong == 0
    assert compare([([thin], [])], 0.25).right == 0
    assert math.isnan(compare([([thin], [found(box, mask=few)])], 0.25).mask)


def test_an_object_less_than_a_pixel_wide_counts_for_nobody():
    line, box = Mask(3, 0, np.ones((40, 1), np.bool_)), (3.0, 0.0, 3.4, 40.0)
    assert compare([([], [found(box, mask=line)])], 0.25).wrong == 0
    assert compare([([Truth(0, 0.9, box, size=(40, 40), mask=((3, 4),))], [])], 0.25).right == 0
    assert compare([([], [found(box)])], 0.25).wrong == 1


def test_an_object_whose_own_mask_the_bundle_left_empty_takes_no_others():
    none, all_of_it = Mask(0, 0, np.zeros((80, 40), np.bool_)), Mask(10, 10, np.ones((80, 40), np.bool_))
    beside = (10.0, 25.0, 50.0, 105.0)
    rows = tuple((y * 200 + 10, y * 200 + 50) for y in range(10, 90))
    truths = [Truth(0, 0.9, BOX, size=(200, 200), mask=rows)]
    like = compare([(truths, [found(mask=none), found(beside, mask=all_of_it)])], 0.25)
    assert (like.right, like.found, like.wrong) == (1, 0, 1)
    thin = [dataclasses.replace(truths[0], mask=rows[:1])]
    like = compare([(thin, [found(mask=none)])], 0.25)
    assert (like.right, like.found, like.wrong, like.aside) == (0, 0, 0, 2)


def test_turned_boxes_outside_of_the_picture_count_for_nobody_but_are_of_the_most_that_a_package_gives():
    outside = clipped(Truth(0, 0.8, oriented=(700.0, 50.0, 40.0, 20.0, 0.3)), 640, 480)
    assert compare([([outside], [])], 0.25).right == 0
    assert compare([([outside] * 300, [found(score=0.5)])], 0.25).wrong == 0
    inside = Truth(0, 0.8, oriented=(600.0, 50.0, 40.0, 20.0, 0.3))
    assert clipped(inside, 640, 480) == inside


def test_a_turned_box_without_an_area_counts_for_nobody():
    for width, right in ((0.01, 0), (20.0, 1)):
        turned = (300.0, 200.0, width, 40.0, 0.3)
        assert compare([([Truth(0, 0.8, oriented=turned)], [])], 0.25).right == right
        one = dataclasses.replace(found(), oriented=OrientedBox(*turned))
        assert compare([([], [one])], 0.25).wrong == right


def test_points_that_lie_elsewhere_are_other_answers_in_fp32():
    truth = Truth(0, 0.9, BOX, points=((20.0, 20.0, 0.9),))
    for x, word in ((20.5, "right"), (22.0, "WRONG")):
        seen = dataclasses.replace(found(), points=(Point(x, 20.0, 0.9),))
        assert judged([([truth], result("NG", seen))], 0.25).word == word
