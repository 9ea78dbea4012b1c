"""The plan: how a bundle is run on this machine inside a memory limit. Data, its check, its table; planner makes it."""

from edge_runtime.plan.explain import explain
from edge_runtime.plan.measurements import (
    BlockMeasurement,
    Form,
    FormMeasurement,
    Limit,
    Measurements,
    Profile,
    Timing,
    ValueMeasurement,
    WholeMeasurement,
    Work,
)
from edge_runtime.plan.plan import ALIGNMENT, BlockPlan, Place, Plan, ValuePlan
from edge_runtime.plan.validate import PlanError, validate

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
    "PlanError",
    "Profile",
    "Timing",
    "ValueMeasurement",
    "ValuePlan",
    "WholeMeasurement",
    "Work",
    "explain",
    "validate",
]
