"""Which settings are worth trying on these cores. Pure: cores in, choices out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_devices.machine import Core
from edge_runtime.ort import affinity
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.tune.choice import Choice

__all__ = ["Space", "big_cores", "default_choice", "lane_cores", "plainness"]

# Cores whose capacity (or clock, where there is none) is this near to the best one's are big ones.
_BIG = 0.9


def big_cores(cores: Sequence[Core]) -> tuple[int, ...]:
    """Return the numbers of the fastest cores; of all, where they are alike or nobody tells."""
    speeds = [core.capacity or core.mhz for core in cores]
    top = max(speeds, default=0)
    return tuple(core.number for core, speed in zip(cores, speeds, strict=True) if speed >= _BIG * top)


def lane_cores(choice: Choice, lane: int) -> tuple[int, ...]:
    """Return the cores of one lane of a choice."""
    return affinity.lane_cores(choice.cores, choice.lanes, choice.threads, lane)


def default_choice(threads: int, batch: int, provider: str) -> Choice:
    """Return what plain onnxruntime does with `threads` threads: one run at a time, busy waiting, on any core."""
    return Choice(threads, 1, batch, threads > 1, (), provider)


def plainness(default: Choice, choice: Choice) -> tuple[int | bool, ...]:
    """Sort choices by it: the fewer changes a setting makes, and the less it takes from others, the earlier it comes.

    The default without busy waiting comes before the default itself: as fast is then cooler too.
    """
    unlike = choice != default and (choice.threads, choice.lanes, choice.batch, choice.cores, choice.provider) != (
        default.threads,
        default.lanes,
        default.batch,
        default.cores,
        default.provider,
    )
    return (
        unlike,
        choice.provider != default.provider,
        choice.lanes,
        choice.batch,
        bool(choice.cores),
        choice.spinning,
        choice.threads,
    )


@dataclass(frozen=True)
class Space:
    """What may be tried: `cores` of this process (big ones first), of which a quota leaves `usable`; the batches that
    the model takes, ascending; onnxruntime's providers, fastest kind first.
    """

    cores: tuple[Core, ...]
    usable: int
    batches: tuple[int, ...]
    providers: tuple[str, ...] = (CPU,)

    def settings(self, batch: int) -> list[Choice]:
        """Return every combination of threads and lanes that has a core for each thread, one batch size."""
        found = []
        for provider in self.providers:
            if provider == CPU:
                found += [choice for threads in self._threads() for choice in self._with(threads, batch)]
            else:  # an accelerator computes; threads only feed it
                found += [Choice(self.usable, lanes, batch, False, (), provider) for lanes in (1, 2)]
        return list(dict.fromkeys(found))

    def batched(self, choice: Choice) -> list[Choice]:
        """Return a choice with every batch size, and with each lane kept on cores of its own."""
        found = [_but(choice, batch=batch) for batch in self.batches]
        wanted = choice.threads * choice.lanes
        # With fewer lanes than cores the system knows better where to put them.
        if (
            choice.provider == CPU
            and not choice.cores
            and choice.lanes > 1
            and wanted == self.usable == len(self.cores)
        ):
            numbers = tuple(core.number for core in self.cores)
            found += [_but(choice, batch=batch, cores=numbers) for batch in self.batches]
        return found

    def table(self, choice: Choice) -> list[Choice]:
        """Return a choice with fewer lanes too, and every batch size: what a batch costs while others run beside it."""
        lanes = [count for count in _doubled(choice.lanes) if count <= choice.lanes]
        return [_but(choice, lanes=count, batch=batch) for count in lanes for batch in self.batches]

    def _threads(self) -> list[int]:
        """Most threads first, as that is most often best and time may run out."""
        return sorted({*_doubled(self.usable), min(len(self._big()), self.usable)}, reverse=True)

    def _with(self, threads: int, batch: int) -> list[Choice]:
        big = self._big()
        found = []
        for lanes in _doubled(self.usable // threads):
            wanted = threads * lanes
            places: list[tuple[int, ...]] = [()]
            if len(big) < len(self.cores) and wanted <= len(big):
                # The scheduler does not know that a thread will be waited for by the others.
                places = [big, ()] if wanted == len(big) else [big]
            for cores in places:
                for spinning in (False, True) if threads > 1 else (False,):
                    found.append(Choice(threads, lanes, batch, spinning, cores))
        return found

    def _big(self) -> tuple[int, ...]:
        return big_cores(self.cores) or tuple(range(self.usable))


def _doubled(most: int) -> list[int]:
    """1, 2, 4, ... and `most` itself."""
    return sorted({1 << k for k in range(most.bit_length()) if 1 << k <= most} | {most}) if most > 0 else []


def _but(
    choice: Choice, *, lanes: int | None = None, batch: int | None = None, cores: tuple[int, ...] | None = None
) -> Choice:
    return Choice(
        choice.threads,
        choice.lanes if lanes is None else lanes,
        choice.batch if batch is None else batch,
        choice.spinning,
        choice.cores if cores is None else cores,
        choice.provider,
    )
