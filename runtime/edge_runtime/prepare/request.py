"""What a preparing process is asked for, and the lines it answers with."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, Union

__all__ = ["Request", "say"]


@dataclass(frozen=True)
class Request:
    """Lower the blocks or the whole graph (or both) of `bundle` into `folder`, and measure the blocks.

    What lies in the folder already is kept. `batches` ascending, the first 1. `limit_bytes`: what the process may
    take; None: no limit. `rehearse`: instead of that, run the most frugal plan and tell what it took more than planned.
    """

    bundle: str
    folder: str
    blocks: bool
    whole: bool
    threads: int
    batches: tuple[int, ...]
    limit_bytes: Union[int, None]
    rehearse: bool = False


def say(**message: Any) -> None:
    """Write one line of JSON to the process that waits: `step`, `done`, `total`; `result`; or `error`, `kind`."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
