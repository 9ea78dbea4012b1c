import numpy as np
from repair_cases import Arrays, noise, uneven_convnet

from edge_export.quant.repair.statistics import MAGNITUDES, channel_statistics, magnitude_bins
from edge_export.run import expose, open_session, run


def test_magnitudes_are_counted_within_an_eighth_and_zeros_are_not():
    x = np.array([[0.0, 1.0, -1.0, 3.9, 1e-30, 1e9]], np.float32)
    counts = magnitude_bins(x)
    assert counts.shape == (1, len(MAGNITUDES))
    assert counts.sum() == 4
    found = MAGNITUDES[np.repeat(np.arange(len(MAGNITUDES)), counts[0])]
    assert abs(found[:3] / [1, 1, 3.9] - 1).max() <= 0.13


def test_statistics_of_channels_are_those_of_all_samples():
    model, data = uneven_convnet(), Arrays(noise(3))
    found = channel_statistics(model, {"r0": 1, "c1": 1}, data)
    session = open_session(expose(model, ["r0", "c1"]))
    values = [run(session, feed) for feed in data]
    for name, statistics in found.items():
        every = np.concatenate([np.moveaxis(value[name], 1, 0).reshape(16, -1) for value in values], axis=1)
        np.testing.assert_allclose(statistics.energy, np.square(every).mean(axis=1), rtol=1e-4)
        np.testing.assert_array_equal(statistics.high, every.max(axis=1))
        np.testing.assert_array_equal(statistics.low, every.min(axis=1))
        assert statistics.count == every.shape[1]
