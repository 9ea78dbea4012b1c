"""A device profile: what is known of a kind of board before anything was measured on this one. Plain data.

The files `*.toml` beside this module hold one profile each, of the same keys; a user's own lie in the config folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Cluster", "Match", "Prior", "Profile", "ProviderChoice"]


@dataclass(frozen=True)
class Cluster:
    """`count` cores of one kind (as "cortex-a76"), which run at up to `mhz`."""

    core: str
    count: int
    mhz: int


@dataclass(frozen=True)
class Prior:
    """A figure that is taken until this board has been measured, and where it is from."""

    value: float
    source: str


@dataclass(frozen=True)
class ProviderChoice:
    """An onnxruntime execution provider by its full name ("CUDAExecutionProvider") and its options.

    "{cache}" in an option's value stands for a folder that stays from run to run (TensorRT's engines).
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Match:
    """How a board is known: the device tree's `compatible` names any of these, or its model contains one.

    A profile without either is a generic one: taken for its architecture, where the processor has all of `isa`, at
    least one of `isa_any` (if given) and none of `isa_not`, and, if `cpu` is given, its name contains one of these.
    """

    compatible: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    isa: tuple[str, ...] = ()
    isa_any: tuple[str, ...] = ()
    isa_not: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    """One kind of board.

    `id` is the file's name; `architecture` as platform.machine() names it. `memory_mb`: the sizes it is sold with,
    ascending. `isa`: instruction sets as /proc/cpuinfo names them. `clusters`: big cores first. `providers`: in the
    order in which they are tried; the CPU always stands behind them. `threads` 0: as many as there are big cores.
    `one_thread_lanes`: most images a second come of a run on each of those cores, not of one run on all of them.
    `power_modes`: names, best first.

    Priors: `storage_read_mb_per_s` by storage kind ("sd", "emmc", "nvme"), `memory_gb_per_s`, `latency_ms` by model as
    others measured them (unit: milliseconds for one image). `file`: where a user's own was read from, "" for one that
    comes with Edgeline.
    """

    id: str
    name: str
    architecture: str
    source: str
    match: Match
    clusters: tuple[Cluster, ...]
    isa: tuple[str, ...]
    memory_mb: tuple[int, ...]
    providers: tuple[ProviderChoice, ...] = ()
    threads: int = 0
    spinning: bool = False
    one_thread_lanes: bool = False
    power_modes: tuple[str, ...] = ()
    storage_read_mb_per_s: Mapping[str, Prior] = field(default_factory=dict)
    memory_gb_per_s: Prior | None = None
    latency_ms: Mapping[str, Prior] = field(default_factory=dict)
    file: str = ""

    @property
    def cores(self) -> int:
        """Return the number of cores of all clusters."""
        return sum(cluster.count for cluster in self.clusters)
