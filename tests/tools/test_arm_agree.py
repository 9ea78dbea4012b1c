"""Whether two processors answer alike: the certificate's bound, on arrays of the sample's shape."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import DataError, VerificationError
from edge_tools.arm.agree import agree, agreement

SAMPLE = Path(__file__).parents[2] / "samples" / "pcb" / "pcb.edge"
MANIFEST = read_bundle(SAMPLE, check_hashes=False).manifest


def outputs(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random((1, 4, 50)) * 600, rng.normal(-3, 1, (1, 6, 50))], axis=1).astype(np.float32)


def arrays(values: np.ndarray) -> dict[str, np.ndarray]:
    return {"output_00 predictions": values}


def test_equal_answers_agree_with_no_difference() -> None:
    found = agreement(MANIFEST, arrays(outputs()), arrays(outputs()))
    assert found.agrees()
    assert [(part.name, part.gap, part.db) for part in found.parts] == [
        ("predictions boxes", 0.0, 120.0),
        ("predictions scores", 0.0, 120.0),
    ]


def test_boxes_and_scores_are_judged_apart() -> None:
    other = outputs()
    other[:, 4:] += 0.3  # nothing beside boxes of hundreds of pixels
    found = agreement(MANIFEST, arrays(outputs()), arrays(other))
    assert [part.within() for part in found.parts] == [True, False]
    assert not found.agrees()


def test_one_large_difference_is_beyond_the_certificate_however_small_the_noise() -> None:
    values = np.repeat(outputs(), 40, axis=2)
    other = values.copy()
    other[0, 0, 7] += 20.0
    [boxes, scores] = agreement(MANIFEST, arrays(values), arrays(other)).parts
    assert boxes.db >= boxes.needed_db
    assert not boxes.within()
    assert scores.within()


def test_a_float_models_certificate_allows_the_noise_of_half_precision() -> None:
    exact = tuple(
        dataclasses.replace(row, bundle=120.0 if row.metric.startswith("sqnr_db") else 1e-7)
        for row in MANIFEST.accuracy
    )
    found = agreement(
        dataclasses.replace(MANIFEST, accuracy=exact), arrays(outputs()), arrays(outputs() * np.float32(1 + 1e-4))
    )
    assert found.agrees()


def test_a_value_that_is_no_number_on_one_side_is_beyond_every_bound() -> None:
    other = outputs()
    other[0, 5, 3] = np.nan
    assert not agreement(MANIFEST, arrays(outputs()), arrays(other)).agrees()


def test_a_box_that_only_one_processor_sees_is_told() -> None:
    box = np.array([[10, 10, 50, 50, 0.95, 1]], np.float32)
    found = agreement(MANIFEST, {"answer_00": box}, {"answer_00": box[:0]})
    assert found.shares == (0.0,)
    assert "is not found here" in found.lines()[-1]
    assert not found.agrees()


def test_another_shape_is_a_change() -> None:
    found = agreement(MANIFEST, arrays(outputs()), arrays(outputs()[:, :, :9]))
    assert found.changes == ("output_00 predictions: shape [1, 10, 50] here, [1, 10, 9] there",)


@pytest.mark.parametrize("there", [{}, {"output_01 predictions": outputs()}])
def test_answers_to_other_samples_are_refused(there: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match="expected answers to the same samples"):
        agreement(MANIFEST, arrays(outputs()), there)


def test_the_command_compares_two_files_and_refuses_what_is_none(tmp_path: Path) -> None:
    for name, shift in (("a", 0.0), ("b", 0.001), ("c", 5.0)):
        np.savez(tmp_path / f"{name}.npz", **arrays(outputs() + np.float32(shift)))
    a, b, c = (str(tmp_path / f"{name}.npz") for name in "abc")
    done = CliRunner().invoke(agree, [str(SAMPLE), a, b])
    assert done.exit_code == 0, done.output
    assert "pcb.edge predictions boxes: largest difference 0.001" in done.output
    assert isinstance(CliRunner().invoke(agree, [str(SAMPLE), a, c]).exception, VerificationError)
    assert isinstance(CliRunner().invoke(agree, [str(SAMPLE), a, str(SAMPLE / "manifest.json")]).exception, DataError)
