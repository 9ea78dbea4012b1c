"""The values of a command's flags, read once into the settings of each stage."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from edge_runtime.bundle.trust import TrustPolicy
from edge_runtime.errors import UsageError
from edge_runtime.files.sizes import parse_size
from edge_runtime.inspect.health.settings import HealthSettings
from edge_runtime.inspect.settings import BatchSettings, EngineSettings, InputSettings, RunSettings, SourceSettings
from edge_runtime.inspect.sinks.base import OutputSettings
from edge_runtime.inspect.sources.open import looks_live
from edge_runtime.inspect.sources.options import LiveOptions, SourceOptions
from edge_runtime.opening.options import OpenOptions
from edge_runtime.tune.standing import Asked, Standing

if TYPE_CHECKING:
    from edge_runtime.batching.vocabulary import CostTable, Priority

__all__ = [
    "Flags",
    "asked_of",
    "background_of",
    "deadlines_of",
    "health_settings",
    "open_options",
    "priorities_of",
    "run_settings",
    "source_options",
    "trust_policy",
]

T = TypeVar("T")

_HEALTH = {"on": True, "off": False, "auto": None}
_PRIORITIES: tuple[Priority, ...] = ("urgent", "normal", "background")


class Flags:
    """What click made of a command line, by parameter name. Asking for another type than a flag has is a TypeError."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def get(self, name: str, kind: type[T]) -> T:
        """Return the value of a flag that always has one."""
        value = self._values[name]
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {value!r}, no {kind.__name__}")
        return value

    def find(self, name: str, kind: type[T]) -> T | None:
        """Return the value of a flag; None where it was not given."""
        return None if self._values[name] is None else self.get(name, kind)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the values of one that may be given several times."""
        return tuple(str(value) for value in self.get(name, tuple))

    def on(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.get(name, bool)


def asked_of(flags: Flags, texts: Sequence[str] = (), lasting: bool = False) -> Asked:
    """What the user said of the machine, for looking at sources; `lasting`: for months. Raises UsageError."""
    # A camera wants its verdict soon; of files and several cameras as many are wanted as there can be.
    soon = not texts or (len(texts) == 1 and (flags.on("realtime") or looks_live(texts[0])))
    return Asked(
        device=flags.get("device", str),
        threads=flags.find("threads", int),
        lanes=flags.find("lanes", int),
        batch=flags.find("batch", int),
        profile=flags.find("profile", str),
        require_provider=flags.get("require_provider", str),
        goal="latency" if soon else "throughput",
        served=lasting or len(texts) > 1,
        limited=flags.find("memory_limit", str) is not None,
    )


def open_options(flags: Flags, here: Standing, prepare: bool = True) -> OpenOptions:
    """How the bundle is opened. Raises UsageError for a limit that is no size."""
    limit, preparing = flags.find("memory_limit", str), flags.find("prepare_limit", str)
    if preparing is not None and limit is None:
        raise UsageError("--prepare-limit is for preparing a bundle for a --memory-limit; give that, too")
    return OpenOptions(
        here.session,
        None if limit is None else parse_size(limit),
        batch=here.batch or 1,
        use_cache=flags.on("cache"),
        lock_memory=flags.on("lock_memory"),
        prepare=prepare,
        prepare_limit=None if preparing is None else parse_size(preparing),
    )


def run_settings(flags: Flags, bundle: Path, texts: Sequence[str], here: Standing) -> RunSettings:
    """All that a run has to know. Raises UsageError for flags that do not go together."""
    classes = flags.find("classes", str)
    return RunSettings(
        EngineSettings(
            bundle,
            open_options(flags, here),
            confidence=flags.find("conf", float),
            iou=flags.find("iou", float),
            max_det=flags.find("max_det", int),
            classes=None if classes is None else tuple(part.strip() for part in classes.split(",") if part.strip()),
            trust=trust_policy(flags),
        ),
        InputSettings(
            _sources(flags, texts),
            source_options(flags),
            realtime=flags.on("realtime"),
            max_frames=flags.find("max_frames", int),
            health=health_settings(flags),
        ),
        _batching(flags, len(texts), here),
        _output(flags),
        heading=tuple(here.lines()),
    )


def trust_policy(flags: Flags) -> TrustPolicy:
    """Which bundles may run."""
    return TrustPolicy(flags.find("require_signed", bool), flags.on("allow_downgrade"))


def source_options(flags: Flags) -> SourceOptions:
    """How sources are read."""
    depth = flags.get("bit_depth", str)
    return SourceOptions(
        flags.get("stride", int),
        LiveOptions(reconnect=flags.find("reconnect_seconds", float), ask=flags.get("poll_ms", float) / 1000),
        bit_depth=None if depth == "auto" else int(depth),
        background=background_of(flags.find("background", str)),
    )


def health_settings(flags: Flags) -> HealthSettings:
    """Which pictures are not judged. Raises UsageError for a file that holds no limits."""
    mode, frozen = flags.get("health", str), flags.find("frozen_seconds", float)
    if mode in _HEALTH:
        if mode == "off" and frozen is not None:
            raise UsageError("--health off looks for nothing; leave out --frozen-seconds, or give --health on")
        return HealthSettings(_HEALTH[mode], frozen)
    if not Path(mode).is_file():
        raise UsageError(f"--health {mode!r} is neither on, off, auto nor a file; --learn-health writes one")
    from edge_runtime.inspect.health.limits import read_limits  # of what was learnt, which most runs have none of

    return HealthSettings(True, frozen, read_limits(Path(mode)))


def _sources(flags: Flags, texts: Sequence[str]) -> tuple[SourceSettings, ...]:
    priorities = _for_each(priorities_of(flags.find("priority", str)) or ("normal",), len(texts), "--priority")
    deadlines = _for_each(deadlines_of(flags.find("deadline_ms", str)) or (math.inf,), len(texts), "--deadline-ms")
    return tuple(SourceSettings(*values) for values in zip(texts, priorities, deadlines, strict=True))


def _for_each(values: Sequence[T], count: int, flag: str) -> list[T]:
    if len(values) not in (1, count):
        raise UsageError(f"{flag} has {len(values)} values for {count} sources; give one for all, or one for each")
    return list(values) * (count if len(values) == 1 else 1)


def background_of(text: str | None) -> tuple[int, int, int] | None:
    """Read `white`, `black` or `#rrggbb` as blue, green, red. Raises UsageError for what is no colour."""
    if text is None:
        return None
    digits = {"white": "ffffff", "black": "000000"}.get(text.strip().lower(), text.strip().removeprefix("#"))
    if not re.fullmatch("[0-9a-fA-F]{6}", digits):
        raise UsageError(f"--background {text!r} is no colour; give white, black or #rrggbb")
    red, green, blue = bytes.fromhex(digits)
    return blue, green, red


def priorities_of(text: str | None) -> tuple[Priority, ...]:
    """Read `urgent,normal`. Raises UsageError for another word."""
    words = [] if text is None else [word.strip().lower() for word in text.split(",")]
    for word in words:
        if word not in _PRIORITIES:
            raise UsageError(f"--priority {word!r} is not known; give {', '.join(_PRIORITIES)}, one for each --source")
    return cast("tuple[Priority, ...]", tuple(words))


def deadlines_of(text: str | None) -> tuple[float, ...]:
    """Read `40,100`, milliseconds. Raises UsageError for what is no time."""
    try:
        found = () if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(0 < value < math.inf for value in found):
        raise UsageError(f"--deadline-ms {text!r}: expected milliseconds such as 40 or 40,100, one for each --source")
    return found


def _batching(flags: Flags, sources: int, here: Standing) -> BatchSettings:
    explain = flags.find("explain_batching", Path)
    timed = any(value is not None for value in (explain, flags.find("priority", str), flags.find("deadline_ms", str)))
    # A tuned table is of the model alone, without pre- and post-processing: good enough where nothing has a deadline.
    tuned = _tuned_table(here) if here.session.lanes > 1 and sources == 1 and not timed else None
    return BatchSettings(here.batch, timed, explain, tuned)


def _tuned_table(here: Standing) -> CostTable | None:
    """What batches cost, as edge-tune measured; None: it did not, or too little, and it is measured at the start."""
    if here.chosen.tuned is None:
        return None
    from edge_runtime.tune.batch_costs import tuned_costs

    try:
        return tuned_costs(here.chosen.tuned)
    except UsageError:
        return None


def _output(flags: Flags) -> OutputSettings:
    folder = flags.find("output", Path)
    save, labels, crops = (flags.on(name) for name in ("save", "save_txt", "save_crop"))
    as_json = flags.find("as_json", bool)
    return OutputSettings(
        pictures=save or (folder is not None and not (labels or crops)),
        labels=labels,
        crops=crops,
        folder=folder,
        lines="json" if as_json or (as_json is None and not sys.stdout.isatty()) else "words",
        window=not flags.on("headless"),
    )
