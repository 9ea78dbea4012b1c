from dataclasses import replace

import numpy as np
from repair_cases import calibrated, noise, uneven_convnet
from tiny_models import convnet, samples

from edge_export.passes.correct_bias import correct_bias, measured_shifts
from edge_export.pipeline import QuietProgress
from edge_export.quant.workbench import Workbench
from edge_export.run import run


def channel_means(draft, tensor, quantized):
    with Workbench(draft) as bench:
        session = bench.open(bench.model(bench.all_able("int8")) if quantized else bench.slim, [tensor])
        return np.mean([run(session, feed)[tensor].mean(axis=(0, 2, 3)) for feed in draft.samples(8)], axis=0)


def test_the_means_of_the_outputs_agree_after_the_correction():
    draft = calibrated(uneven_convnet(spread=60.0), noise(8) + 0.5, noise(4, seed=2) + 0.5)
    exact = channel_means(draft, "out", quantized=False)
    before = np.abs(channel_means(draft, "out", quantized=True) - exact).max()
    fixed = replace(draft, shifts=measured_shifts(draft, 8))
    after = np.abs(channel_means(fixed, "out", quantized=True) - exact).max()
    assert after < 0.2 * before


def test_every_layer_with_room_for_a_bias_is_measured_and_the_stage_says_so():
    draft = calibrated(convnet(), samples(8), samples(4, seed=5), effort="good")
    found = correct_bias(draft, QuietProgress())
    start, stage = found.stages
    assert start.name == "all int8, ranges searched"
    assert stage.name == "bias correction"
    assert stage.note.startswith("biases of 4 layers moved: ")
    assert set(found.shifts) == ({"conv0", "conv1", "conv2", "gemm"} if stage.kept else set())


def test_the_same_draft_gives_the_same_shifts():
    draft = calibrated(convnet(), samples(4), samples(2, seed=5))
    first, second = measured_shifts(draft, 4), measured_shifts(draft, 4)
    assert all((first[name] == second[name]).all() for name in first)
