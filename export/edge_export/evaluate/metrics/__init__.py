"""Measures of accuracy and fidelity, each a function of image weights so that it can be bootstrapped."""

from edge_export.evaluate.metrics.anomaly import Auroc
from edge_export.evaluate.metrics.bootstrap import Statistic, Weights, interval, ones
from edge_export.evaluate.metrics.boxes import Boxes, Objects
from edge_export.evaluate.metrics.classification import TopK, rank_of
from edge_export.evaluate.metrics.detection import COCO_THRESHOLDS, DetectionData, collect
from edge_export.evaluate.metrics.fidelity import BoxAgreement, SameAnswers, SignalNoise, box_pairs, signal_noise
from edge_export.evaluate.metrics.segmentation import MaskCounts, collect_masks, count_mask

__all__ = [
    "COCO_THRESHOLDS",
    "Auroc",
    "BoxAgreement",
    "Boxes",
    "DetectionData",
    "MaskCounts",
    "Objects",
    "SameAnswers",
    "SignalNoise",
    "Statistic",
    "TopK",
    "Weights",
    "box_pairs",
    "collect",
    "collect_masks",
    "count_mask",
    "interval",
    "ones",
    "rank_of",
    "signal_noise",
]
