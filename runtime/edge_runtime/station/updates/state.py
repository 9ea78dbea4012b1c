"""What is known of updates beside `current`: which version is on probation, and how earlier ones ended.

`current` alone says what runs. The state is written before it is switched, so that a power cut in between is understood
at the next start (`Trial`): whatever was begun is then either done or as if it had never been.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, Union

from edge_runtime.files.atomic import write_text
from edge_runtime.files.schema import SchemaError, from_json, to_json

__all__ = ["Ending", "How", "State", "Trial", "read_state", "write_state"]

How = Literal["confirmed", "returned", "interrupted", "went back"]
_KEPT, _MOST_BYTES = 20, 1 << 20
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """A version on probation. `before`: the one to return to, None for the first.

    `starts`: processes that ran it and have not ended in order. `returning`: why it is being returned from, "" where it
    is not; until `current` leads to `before` again the return is not over. `downgrade`: an older one than ran here, as
    somebody wanted.
    """

    version: int
    before: int
    sha256: str
    begun_utc: str
    starts: tuple[str, ...] = ()
    returning: str = ""
    downgrade: bool = False


@dataclass(frozen=True)
class Ending:
    """How an update ended. "interrupted": before it was switched to; "went back": by hand, from a confirmed one."""

    version: int
    sha256: str
    how: How
    why: str
    time_utc: str


@dataclass(frozen=True)
class State:
    """`before`: the version that ran before the last one that was confirmed, None where that is not known."""

    trial: Union[Trial, None] = None
    before: Union[int, None] = None
    endings: tuple[Ending, ...] = ()  # the last is the newest
    schema: Literal[1] = 1

    def ended(self, how: How, why: str, before: int | None) -> State:
        """Return the state once the trial is over."""
        if self.trial is None:
            return self
        ending = Ending(self.trial.version, self.trial.sha256, how, why, now_text())
        return dataclasses.replace(self, trial=None, before=before, endings=(*self.endings, ending)[-_KEPT:])


def now_text() -> str:
    """The time in UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_state(path: Path) -> State:
    """Return what was written. What cannot be read is as if nothing were known: `current` says what runs."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        return from_json(State, json.loads(path.read_bytes()))
    except FileNotFoundError:
        return State()
    except (OSError, SchemaError, ValueError, RecursionError) as error:
        _LOG.warning(
            "what is known of updates cannot be read (%s: %s); a version on probation is taken as confirmed",
            path,
            error,
        )
        return State()


def write_state(path: Path, state: State) -> None:
    """Write it such that a power cut leaves the old or the new. Raises OutputError."""
    write_text(path, json.dumps(to_json(state), indent=1) + "\n")
