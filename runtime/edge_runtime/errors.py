"""The error tree: one class per kind of failure, each with the exit code its command ends with.

    EdgelineError            1   anything of ours that has no better class
    |-- UsageError           2   a flag or an argument that cannot be used
    |-- BundleError          3   a bundle that is damaged, hostile or of another schema
    |   `-- RefusedError         one that ended the process that it was tried in
    |-- ModelError           4   a model that cannot be exported or loaded
    |-- SourceError          5   a camera, video or image source that cannot be opened
    |-- DataError            6   labels, calibration or evaluation data that cannot be used
    |-- OutputError          7   a result that cannot be written (disk full, no permission)
    |-- DependencyError      8   an optional package that is not installed
    |-- EngineError          9   the engine failed while it ran a good model
    |-- MemoryLimitError    12   a memory limit that is too small (10 and 11 are verdicts of edge-run)
    |-- VerificationError   13   a bundle that answers otherwise here than it did; records that were tampered with
    |-- StoreError          14   a station's store that cannot be read or written
    |-- GateError           15   a gate that loses more defects than it may
    |-- TrustError          16   a bundle that may not run here: not signed by a trusted key, wrongly, or too old
    `-- UpdateError         17   an update that cannot be made now, or that was returned from

Every message says what was expected, what was found, where, and what to do next, in one line.
"""

from __future__ import annotations

__all__ = [
    "BundleError",
    "DataError",
    "DependencyError",
    "EdgelineError",
    "EngineError",
    "GateError",
    "MemoryLimitError",
    "ModelError",
    "OutputError",
    "RefusedError",
    "SourceError",
    "StoreError",
    "TrustError",
    "UpdateError",
    "UsageError",
    "VerificationError",
]


class EdgelineError(Exception):
    """Base of every error that Edgeline raises on purpose; commands print it as one line."""

    exit_code = 1


class UsageError(EdgelineError):
    """A flag or an argument that cannot be used."""

    exit_code = 2


class BundleError(EdgelineError):
    """A bundle that is damaged, hostile or of another schema version."""

    exit_code = 3


class RefusedError(BundleError):
    """A bundle that ended the process that it was tried in, or did not come to an end there."""


class ModelError(EdgelineError):
    """A model that cannot be exported or loaded."""

    exit_code = 4


class SourceError(EdgelineError):
    """A camera, video or image source that cannot be opened."""

    exit_code = 5


class DataError(EdgelineError):
    """Labels, calibration or evaluation data that cannot be used."""

    exit_code = 6


class OutputError(EdgelineError):
    """A result that cannot be written."""

    exit_code = 7


class DependencyError(EdgelineError):
    """An optional package that is not installed; the message holds the install line."""

    exit_code = 8


class EngineError(EdgelineError):
    """The engine failed while it ran a good model."""

    exit_code = 9


class MemoryLimitError(EdgelineError):
    """A memory limit that cannot be met; `smallest_bytes` is the smallest that can, None where it is not known."""

    exit_code = 12

    def __init__(self, message: str, smallest_bytes: int | None = None) -> None:
        super().__init__(message)
        self.smallest_bytes = smallest_bytes


class VerificationError(EdgelineError):
    """A bundle that answers otherwise on this device than where it was exported, or than it did when a record was made;
    records that are not as they were written.
    """

    exit_code = 13


class StoreError(EdgelineError):
    """A station's store of records that cannot be read or written."""

    exit_code = 14


class GateError(EdgelineError):
    """A gate that loses more defects than it may."""

    exit_code = 15


class TrustError(EdgelineError):
    """A bundle that may not run here: not signed by a trusted key, wrongly, or older than what ran before."""

    exit_code = 16


class UpdateError(EdgelineError):
    """An update that cannot be made, confirmed or gone back from now, or that was returned from."""

    exit_code = 17
