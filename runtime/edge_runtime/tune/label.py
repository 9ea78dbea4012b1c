"""A choice in words. Apart from what makes choices: edge-run, which only names one, starts sooner for it."""

from __future__ import annotations

from edge_runtime.tune.choice import Choice

__all__ = ["label"]


def label(choice: Choice) -> str:
    """Return a choice in a few words, as "2 lanes x 1 thread, batch 4"."""
    threads = f"{choice.threads} thread{'s' * (choice.threads > 1)}"
    words = [threads if choice.lanes == 1 else f"{choice.lanes} lanes x {threads}"]
    if choice.spinning:
        words[0] += " spinning"
    if choice.batch > 1:
        words.append(f"batch {choice.batch}")
    if choice.cores:
        words.append(f"cores {_ranges(choice.cores)}")
    if choice.provider != "CPUExecutionProvider":
        words.append(choice.provider.removesuffix("ExecutionProvider"))
    return ", ".join(words)


def _ranges(cores: tuple[int, ...]) -> str:
    if len(cores) > 1 and cores == tuple(range(cores[0], cores[-1] + 1)):
        return f"{cores[0]}-{cores[-1]}"
    return " ".join(map(str, cores))
