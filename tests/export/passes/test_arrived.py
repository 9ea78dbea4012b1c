"""Models that arrived quantized: good scales are noted, bad ones are found and named."""

from dataclasses import dataclass, field, replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from quantize_tiny import quantized
from tiny_models import convnet, samples

from edge_export.evaluate.data.calibration import RandomCalibration
from edge_export.passes.arrived import check_arrived
from edge_export.pipeline import QuietProgress
from edge_export.state import Draft, KnownFacts
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.postprocess_spec import Classify

FEEDS = [{"images": sample[None]} for sample in samples(12)]
INPUT = TensorSpec("images", "float32", ("batch", 3, 16, 16))


@dataclass
class Samples:
    """Calibration data that stands for real images."""

    feeds: list = field(default_factory=lambda: FEEDS)
    description: str = "tiny: 12 samples"
    notes: tuple = ()

    def __len__(self):
        return len(self.feeds)

    def __iter__(self):
        return iter(self.feeds)


def draft_of(model, calibration=None):
    data = calibration or Samples()
    facts = KnownFacts(postprocess=Classify())
    return Draft(None, None, facts, model, model, data, data)


def checked(model, calibration=None):
    return check_arrived(draft_of(model, calibration), QuietProgress())


@pytest.fixture(scope="module")
def good():
    return quantized(convnet(), FEEDS)[0]


@pytest.fixture(scope="module")
def bad():
    """Ranges of samples a hundred times too small."""
    return quantized(convnet(), [{"images": feed["images"] / 100} for feed in FEEDS])[0]


def test_a_float_model_is_left_alone():
    draft = draft_of(convnet())
    assert check_arrived(draft, QuietProgress()) is draft


def test_good_scales_are_noted_with_figures(good):
    found = checked(good)
    assert found.warnings == ()
    level, agreement = found.accuracy
    assert level.metric == "sqnr_db logits against its own weights in float"
    assert level.bundle > 20
    assert level.fp32 is None
    assert agreement.bundle > 0.9
    assert "arrived quantized, against its own weights in float" in found.notes[-1]


def test_bad_scales_are_found_and_the_worst_tensor_is_named(bad):
    found = checked(bad)
    assert len(found.warnings) == 1
    assert found.accuracy[0].bundle < 10
    assert "arrived badly calibrated" in found.warnings[0]
    assert "clips values that reach" in found.warnings[0]
    assert "edge-export --calibrate" in found.warnings[0]


def test_ranges_that_are_far_too_wide_are_found_too():
    wide = quantized(convnet(), [{"images": feed["images"] * 1000} for feed in FEEDS])[0]
    found = checked(wide)
    assert len(found.warnings) == 1
    assert "is too wide for values" in found.warnings[0]


def test_made_up_samples_judge_nothing(bad):
    found = checked(bad, RandomCalibration((INPUT,)))
    assert found.warnings == ()
    assert found.accuracy == ()
    assert "could not be judged: there are no real samples" in found.notes[-1]


def test_a_model_that_cannot_be_dequantized_says_why(good):
    model = onnx.ModelProto()
    model.CopyFrom(good)
    for weight in model.graph.initializer:
        if weight.name.startswith("s") and not weight.dims:
            weight.CopyFrom(numpy_helper.from_array(np.array(0, np.float32), weight.name))
    found = checked(model)
    assert "could not be judged: the scale" in found.notes[-1]


def test_many_zeros_among_the_weights_are_noted():
    model = convnet()
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight).copy()
        if values.ndim == 4:
            values[np.abs(values) < np.quantile(np.abs(values), 0.7)] = 0
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    found = checked(quantized(model, FEEDS)[0])
    assert any("of its integer weights are zeros" in note for note in found.notes)


def test_the_model_itself_is_not_touched(bad):
    before = bad.SerializeToString(deterministic=True)
    found = checked(bad)
    assert found.model is bad
    assert bad.SerializeToString(deterministic=True) == before
    assert replace(found, accuracy=(), warnings=(), notes=()) == draft_of(bad, found.calibration)
