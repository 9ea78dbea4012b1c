"""Static memory layout: which bytes of one arena each buffer has, given when it is alive."""

from edge_runtime.plan.layout.problem import Buffer, Lifespan, Problem, Solution, lower_bound
from edge_runtime.plan.layout.problem_csv import read_problem, read_solution, write_problem, write_solution
from edge_runtime.plan.layout.solve import DEFAULT_BUDGET, solve
from edge_runtime.plan.layout.validate import LayoutError, validate

__all__ = [
    "DEFAULT_BUDGET",
    "Buffer",
    "LayoutError",
    "Lifespan",
    "Problem",
    "Solution",
    "lower_bound",
    "read_problem",
    "read_solution",
    "solve",
    "validate",
    "write_problem",
    "write_solution",
]
