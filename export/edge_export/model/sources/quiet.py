"""Keep the noise of large libraries away from the user's terminal, and hold it ready for an error message."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

__all__ = ["quiet"]


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Catch what Python code prints, logs and warns; yields the text, for the message of a failure."""
    caught = io.StringIO()
    previous = logging.root.manager.disable
    with contextlib.redirect_stdout(caught), contextlib.redirect_stderr(caught), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield caught
        finally:
            logging.disable(previous)
