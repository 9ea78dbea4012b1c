"""The plan: how a bundle is run on this machine inside a memory limit, decided from measurements before it is run."""

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
from edge_runtime.plan.planner import plan
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
    "plan",
    "validate",
]
