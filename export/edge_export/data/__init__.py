"""Calibration samples and labelled images."""

from edge_export.data.calibration import CalibrationSet, RandomCalibration, Sample, open_calibration
from edge_export.data.labelled import open_labelled
from edge_export.data.mapping import ClassMap, map_classes
from edge_export.data.truth import BoxTruth, ClassTruth, Labelled, LabelledSet, MaskTruth

__all__ = [
    "BoxTruth",
    "CalibrationSet",
    "ClassMap",
    "ClassTruth",
    "Labelled",
    "LabelledSet",
    "MaskTruth",
    "RandomCalibration",
    "Sample",
    "map_classes",
    "open_calibration",
    "open_labelled",
]
