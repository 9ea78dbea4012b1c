"""Calibration samples and labelled images."""

from edge_export.evaluate.data.calibration import RandomCalibration, open_calibration
from edge_export.evaluate.data.labelled import open_labelled
from edge_export.evaluate.data.mapping import ClassMap, map_classes
from edge_export.evaluate.data.truth import BoxTruth, ClassTruth, Labelled, LabelledSet, MaskTruth
from edge_export.state import CalibrationSet

__all__ = [
    "BoxTruth",
    "CalibrationSet",
    "ClassMap",
    "ClassTruth",
    "Labelled",
    "LabelledSet",
    "MaskTruth",
    "RandomCalibration",
    "map_classes",
    "open_calibration",
    "open_labelled",
]
