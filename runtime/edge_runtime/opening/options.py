"""How a bundle is to be opened."""

from __future__ import annotations

from dataclasses import dataclass

from edge_devices.profile import ProviderChoice
from edge_runtime.errors import UsageError
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.ort.providers.choose import choose, gpu_of, insisted
from edge_runtime.ort.session import SessionOptions, usable_threads

__all__ = ["OpenOptions", "check_options"]


@dataclass(frozen=True)
class OpenOptions:
    """How to open a bundle.

    `memory_limit`: bytes of the whole process, None for no limit. `batch`: images of a call. `use_cache`: prepared
    files are looked for and kept. `lock_memory`: the arena is never swapped out. `reserve_bytes`: what the caller will
    still take of the limit for itself. `prepare`: without a limit, too, a graph that is not in the cache is prepared,
    so that the next start is faster. `preempt`: within a limit, a run can be put aside between two blocks for another,
    and what that takes is kept free. `prepare_limit`: bytes that preparing may take together with this process, None
    for the memory limit.
    """

    session: SessionOptions
    memory_limit: int | None = None
    batch: int = 1
    use_cache: bool = True
    lock_memory: bool = False
    reserve_bytes: int = 0
    prepare: bool = False
    preempt: bool = False
    prepare_limit: int | None = None

    @property
    def preparing_limit(self) -> int | None:
        """Bytes that preparing may take together with this process; None for any."""
        return self.memory_limit if self.prepare_limit is None else self.prepare_limit


def check_options(options: OpenOptions) -> tuple[int, tuple[ProviderChoice, ...]]:
    """Return the threads to use and the providers to try before the CPU; none within a limit. Raises UsageError."""
    if options.batch < 1:
        raise UsageError(f"batch must be at least 1, found {options.batch}")
    session = options.session
    present = import_onnxruntime().get_available_providers()
    choices = choose(session.device, session.providers, session.require_provider, present)
    if options.memory_limit is not None:
        named = insisted(session.device, session.require_provider)
        if choices and (named or any(gpu_of(choice) is not None for choice in choices)):
            raise UsageError("a memory limit is kept on the CPU only; add --device cpu, or leave the limit out")
        choices = ()
    return usable_threads(session.threads), choices
