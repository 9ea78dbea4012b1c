"""The words of an export: the draft that goes from pass to pass, and what it holds. Imports no stage."""

from edge_export.state.draft import Cut, Draft, Golden, Progress
from edge_export.state.figures import Comparison, Flip, Flips, Score
from edge_export.state.mix import Mix
from edge_export.state.options import ExportOptions, FactFlags
from edge_export.state.quantized import QuantizedWeight, QuantParams, Sqnr
from edge_export.state.source import KnownFacts, SourceModel
from edge_export.state.tensors import CalibrationSet, Feeds, NoSamples, ValueFact

__all__ = [
    "CalibrationSet",
    "Comparison",
    "Cut",
    "Draft",
    "ExportOptions",
    "FactFlags",
    "Feeds",
    "Flip",
    "Flips",
    "Golden",
    "KnownFacts",
    "Mix",
    "NoSamples",
    "Progress",
    "QuantParams",
    "QuantizedWeight",
    "Score",
    "SourceModel",
    "Sqnr",
    "ValueFact",
]
