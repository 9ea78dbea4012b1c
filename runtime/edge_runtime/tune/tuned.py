"""What edge-tune measured of one bundle on one machine, and what edge-run takes from it. Plain data, one JSON file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

from edge_runtime.plan.measurements import Speeds
from edge_runtime.tune.choice import Choice, Goal

__all__ = ["Duel", "Provenance", "Temperature", "Trial", "Tuned"]


@dataclass(frozen=True)
class Trial:
    """A choice as measured: milliseconds of one batch (median, 95th percentile) and images per second of all lanes."""

    choice: Choice
    p50_ms: float
    p95_ms: float
    images_per_s: float
    runs: int


@dataclass(frozen=True)
class Duel:
    """A choice against plain onnxruntime, turn by turn: `ratio` times as fast, 95 % sure to lie in `low`..`high`.

    Fast is images per second for "throughput", and the inverse of one batch's median time for "latency".
    """

    goal: Goal
    choice: Choice
    ratio: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Temperature:
    """The hottest zone at the start and the end in degrees Celsius, None where there is no sensor."""

    start_c: Union[float, None]
    end_c: Union[float, None]


@dataclass(frozen=True)
class Provenance:
    """Where the figures are from. `samples` names the raw samples' file beside this one.

    `cpu` is the processor's name, `cpu_key` a hash of all that it says of itself (prepared.key.cpu_identity).
    """

    board: str
    cpu: str
    onnxruntime: str
    edgeline: str
    created_utc: str
    seconds: float
    samples: str
    cpu_key: str = ""


@dataclass(frozen=True)
class Tuned:
    """One tuned profile.

    `latency` and `throughput`: the best choice for one image soon, and for most images per second. `default`: what
    plain onnxruntime does by itself, measured in the same interleaved run. `trials`: everything that was compared.
    `first_minute_per_s` and `steady_per_s`: images per second of the throughput choice at first and in the thermal
    steady state, of a load of `load_seconds`; `steady` False: the time did not suffice to reach it. `complete` False:
    interrupted, what is there was measured. `computing_read_bytes_per_s`: storage while the processor computes.
    `duels`: what was chosen, against plain onnxruntime. `throttled`: what held the clocks down when it ended. `notes`:
    what was left out, and why.
    """

    schema: Literal[1]
    bundle_sha256: str
    bundle: str
    provenance: Provenance
    latency: Choice
    throughput: Choice
    default: Trial
    trials: tuple[Trial, ...]
    speeds: Speeds
    computing_read_bytes_per_s: Union[float, None]
    first_minute_per_s: Union[float, None]
    steady_per_s: Union[float, None]
    steady: bool
    temperature: Temperature
    complete: bool
    duels: tuple[Duel, ...] = ()
    load_seconds: Union[float, None] = None
    throttled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
