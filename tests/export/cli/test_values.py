"""Flag values with a form of their own, through the command."""

import pytest
from click import BadParameter

from edge_export.cli.command import _options, edge_export_command
from edge_export.cli.values import ANOMALY_RANGE, NAMES, SIZES, STRIDES
from edge_export.text import printable


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SIZES, "10,13,16"),
        (SIZES, "10,0"),
        (STRIDES, "0"),
        (STRIDES, "8,-16"),
        (STRIDES, ""),
        (NAMES, "a,,b"),
        (ANOMALY_RANGE, "1,2"),
        (ANOMALY_RANGE, "2,1,1"),
        (ANOMALY_RANGE, "0,inf,1"),
        (ANOMALY_RANGE, "nan,1,0"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_with_an_example(kind, text):
    with pytest.raises(BadParameter, match="expected something like"):
        kind.convert(text, None, None)


def test_good_values_are_read():
    assert STRIDES.convert("8,16,32", None, None) == [8, 16, 32]
    assert SIZES.convert("10,13.5", None, None) == (10.0, 13.5)
    assert NAMES.convert("boxes, scores", None, None) == ["boxes", "scores"]
    assert ANOMALY_RANGE.convert("-1,42.5,17", None, None) == (-1.0, 42.5, 17.0)


def test_the_flags_of_outputs_reach_the_manifests_fields():
    arguments = ["m.onnx", "--task=anomaly", "--map-output=m", "--score-output=s", "--anomaly-range=0,40,17"]
    context = edge_export_command.make_context("edge-export", [*arguments, "--min-area=0.01", "--outputs=a,b"])
    flags = {name: value for name, value in context.params.items() if name not in ("json_output", "quiet")}
    options = _options(flags.pop("source"), flags.pop("output"), flags)
    assert options.flags.postprocess == {
        "outputs": ["a", "b"],
        "min_area": 0.01,
        "map_output": "m",
        "score_output": "s",
        "normalize": True,
        "minimum": 0.0,
        "maximum": 40.0,
        "raw_threshold": 17.0,
    }


def test_text_that_is_not_utf8_gets_question_marks():
    assert printable("caf\udce9") == "caf?"
    assert printable("café") == "café"
