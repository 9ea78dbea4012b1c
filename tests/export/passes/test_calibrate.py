from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import convnet, samples

from edge_export.passes.calibrate import calibrate
from edge_export.pipeline import QuietProgress
from edge_export.state import Draft, ExportOptions, KnownFacts
from edge_runtime.errors import DataError, ModelError, UsageError

MODEL = convnet((3, 8, 16))


@dataclass
class Counted:
    """Calibration samples that count how often they are gone through."""

    arrays: np.ndarray
    description: str = "made up"
    notes: tuple = ()
    rounds: list = field(default_factory=list)

    def __len__(self):
        return len(self.arrays)

    def __iter__(self):
        self.rounds.append(None)
        return ({"images": array[None]} for array in self.arrays)


def draft_of(data, model=MODEL, **changes):
    options = ExportOptions("m.onnx", Path("m.edge"), calibrate=Path("photos"))
    return Draft(replace(options, **changes), None, KnownFacts(), model, model, data, data)


def test_the_data_is_gone_through_once_and_every_planned_tensor_gets_a_range():
    data, progress = Counted(samples(4)), QuietProgress()
    params = calibrate(draft_of(data), progress).params
    assert len(data.rounds) == 1
    assert {"images", "r0", "r1"} <= set(params)
    assert all(found.scale > 0 and found.method for found in params.values())
    assert progress.notes[0].startswith(f"calibrate: ranges of {len(params)} tensors: ")


def test_two_calibrations_are_equal():
    first, second = (calibrate(draft_of(Counted(samples(4))), QuietProgress()).params for _ in range(2))
    assert first == second


def test_a_channel_that_reaches_far_is_reported():
    arrays = samples(2)
    model = convnet((3, 16, 16))
    weights = {weight.name: weight for weight in model.graph.initializer}
    scaled = np.frombuffer(weights["w0"].raw_data, np.float32).reshape(16, 3, 3, 3).copy()
    scaled[5] *= 100
    weights["w0"].raw_data = scaled.tobytes()
    progress = QuietProgress()
    assert calibrate(draft_of(Counted(arrays), model), progress).params["r0"].outliers == (5,)
    assert "outlier channels: 'r0' (1)" in progress.notes[0]


def test_nothing_is_run_where_nothing_becomes_int8():
    data = Counted(samples(2))
    assert calibrate(draft_of(data, quantize="fp16"), QuietProgress()).params is None
    assert not data.rounds


def test_without_data_int8_is_refused():
    with pytest.raises(UsageError, match="--calibrate"):
        calibrate(draft_of(Counted(samples(2)), calibrate=None), QuietProgress())
    with pytest.raises(DataError, match="no samples"):
        calibrate(draft_of(Counted(samples(0))), QuietProgress())


def test_data_that_is_not_finite_is_blamed_on_the_input():
    arrays = samples(2)
    arrays[1, 0, 0, 0] = np.nan
    with pytest.raises(ModelError, match="input 'images' gives values that are not finite"):
        calibrate(draft_of(Counted(arrays)), QuietProgress())
