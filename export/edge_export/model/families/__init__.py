"""The families of models that are known: a row for each, and which rows a model fits."""

from edge_export.model.families.family import Answers, Family, Match, Miss, Out, Pixels, Reading, Shown
from edge_export.model.families.recognise import Recognised, recognise
from edge_export.model.families.registry import FAMILIES

__all__ = [
    "FAMILIES",
    "Answers",
    "Family",
    "Match",
    "Miss",
    "Out",
    "Pixels",
    "Reading",
    "Recognised",
    "Shown",
    "recognise",
]
