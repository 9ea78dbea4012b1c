"""The plan: how a bundle is run on this machine inside a memory limit. The data alone.

`planner.plan` makes one, `plan.validate` checks it, `plan.explain` tells it as a table.
"""

from edge_runtime.plan.measurements import (
    BlockMeasurement,
    Form,
    FormMeasurement,
    Limit,
    Measurements,
    Speeds,
    Timing,
    ValueMeasurement,
    WholeMeasurement,
    Work,
)
from edge_runtime.plan.plan import ALIGNMENT, BlockPlan, Place, Plan, ValuePlan

__all__ = [
    "ALIGNMENT",
    "BlockMeasurement",
    "BlockPlan",
    "Form",
    "FormMeasurement",
    "Limit",
    "Measurements",
    "Place",
    "Plan",
    "Speeds",
    "Timing",
    "ValueMeasurement",
    "ValuePlan",
    "WholeMeasurement",
    "Work",
]
