"""The `edge-run` command: which bundle, which source, which sinks; the loop itself is in run.py."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_devices.process_memory import memory
from edge_runtime import Engine, open_bundle
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.cli.console import hidden_native_stderr, run_command
from edge_runtime.cli.options import EXIT_NG, EXIT_NO_READ, EdgeRun, run_options
from edge_runtime.cli.progress import ProgressLine
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import DataError, EdgelineError, UsageError, VerificationError
from edge_runtime.files.sizes import parse_size
from edge_runtime.inspect.one_source import Shown, run_source
from edge_runtime.inspect.run import RunOptions
from edge_runtime.inspect.sinks import SaveOptions
from edge_runtime.inspect.sinks.lines import write_line
from edge_runtime.inspect.sources import Frame, LiveOptions, SourceOptions, looks_like_source, looks_live, open_source
from edge_runtime.inspect.stop import Stop
from edge_runtime.inspect.summary import Summary
from edge_runtime.opening.opening import OpenOptions
from edge_runtime.ort.process import own_process
from edge_runtime.plan.explain import explain as explain_plan
from edge_runtime.tune.standing import Asked, Standing, stand

if TYPE_CHECKING:
    from edge_runtime.batching.vocabulary import CostTable

__all__ = ["edge_run", "main"]

# Of a frame: as it was read, resized, drawn on, encoded. And what the loop takes besides: records, overlays, labels.
_FRAME_COPIES, _FULL_HD, _RUN_BYTES = 5, 1920 * 1080 * 3, 6 << 20
_PREPARING = "preparing the model for this machine, once"


@click.command(cls=EdgeRun, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@run_options
def edge_run(
    arguments: tuple[str, ...],
    source: tuple[str, ...],
    stride: int,
    max_frames: int | None,
    realtime: bool,
    reconnect_seconds: float | None,
    verify: bool,
    conf: float | None,
    iou: float | None,
    max_det: int | None,
    classes: str | None,
    as_json: bool | None,
    save: bool,
    save_txt: bool,
    save_crop: bool,
    output: Path | None,
    headless: bool,
    exit_code: bool,
    profile: str | None,
    device: str,
    require_provider: str,
    threads: int | None,
    lanes: int | None,
    batch: int | None,
    deadline_ms: str | None,
    priority: str | None,
    explain_batching: Path | None,
    memory_limit: str | None,
    lock_memory: bool,
    explain: bool,
    cache: bool,
    verbose: bool,
) -> int:
    """Judge images, a video or a camera with a model bundle: each frame is OK, NG or NO_READ.

    Without BUNDLE the sample that ships with Edgeline runs. A frame that cannot be read is NO_READ, is
    counted, and the run goes on.

    \b
    Examples:
      edge-run                                          the sample, on its own images
      edge-run boards.edge --source photos/             every image of a folder
      edge-run boards.edge --source 0 --save            the first camera, recorded
      edge-run boards.edge --source rtsp://cam/1 --json > log.jsonl
      edge-run boards.edge --source 'in/**/*.png' --save --save-crop --output out
      edge-run boards.edge --source 0 --memory-limit 160MB
      edge-run boards.edge --source 0 --source 1 --source rtsp://cam/1 --deadline-ms 100
      edge-run boards.edge --verify                     does it answer here as where it was exported?

    \b
    Exit codes: 0 done, 2 usage, 3 bundle, 5 source, 6 no frame could be read,
    7 output, 9 engine, 12 memory limit too small, 13 refuted by --verify, 130 Ctrl-C, 143 SIGTERM.
    """
    limit = None if memory_limit is None else parse_size(memory_limit)
    asked = Asked(device, threads, lanes, batch, profile, require_provider, limited=limit is not None)
    if verify or explain:
        if verify and (source or explain):
            raise UsageError("--verify runs the bundle's own golden samples; leave out --source and --explain")
        named = _only_bundle(arguments, "verify" if verify else "explain")
        here = _stand(named, asked)
        # As a run would: what frames take is not the model's.
        reserve = _frames_bytes(None, batch or 1) if explain and limit is not None else 0
        options = OpenOptions(here.session, limit, batch or 1, cache, lock_memory, reserve, prepare=verify)
        if verify:
            return _verify(named, options, bool(as_json), verbose)
        _explain(named, options, here)
        return 0
    bundle, texts = _what_to_run(arguments, source)
    # A camera wants its verdict soon; of files and several cameras as many are wanted as there can be.
    soon = len(texts) == 1 and (realtime or looks_live(texts[0]))
    here = _stand(bundle, replace(asked, goal="latency" if soon else "throughput"))
    wanted = None if classes is None else [part.strip() for part in classes.split(",") if part.strip()]
    saving = SaveOptions(save or (output is not None and not (save_txt or save_crop)), save_txt, save_crop, output)
    json_lines = not sys.stdout.isatty() if as_json is None else as_json
    sourcing = SourceOptions(stride, LiveOptions(reconnect=reconnect_seconds))
    stop, summary = Stop(), Summary()
    summary.limit_bytes = limit or 0

    def open_engine(batch: int, reserve_bytes: int, preempt: bool = False) -> Engine:
        with ProgressLine(_PREPARING) as progress:
            return open_bundle(
                bundle,
                confidence=conf,
                iou=iou,
                max_det=max_det,
                classes=wanted,
                memory_limit=limit,
                batch=batch,
                use_cache=cache,
                lock_memory=lock_memory,
                reserve_bytes=reserve_bytes,
                prepare=True,
                progress=progress,
                session=here.session,
                preempt=preempt,
            )

    shown = Shown(saving, json_lines, headless, lambda: _print_summary(summary, json_lines), here.lines())
    scheduled = bool(deadline_ms or priority or explain_batching)
    with contextlib.nullcontext() if verbose else hidden_native_stderr():
        if scheduled or len(texts) > 1 or here.session.lanes > 1:
            # Loaded when it is needed: the process of one source is smaller by it.
            from edge_runtime.inspect.serving.command import ServeFlags, deadlines_of, priorities_of, serve_sources

            flags = ServeFlags(
                priorities_of(priority),
                deadlines_of(deadline_ms),
                realtime,
                explain_batching,
                here.batch,
                max_frames,
                _tuned_table(here) if not scheduled and len(texts) == 1 else None,
                plain=not scheduled and len(texts) == 1,
            )
            with contextlib.ExitStack() as stack:
                opened = [stack.enter_context(contextlib.closing(open_source(text, sourcing, stop))) for text in texts]
                taken = None if limit is None else _served_bytes
                serve_sources(open_engine, opened, flags, shown, summary, stop, taken)
        else:
            running = RunOptions(here.batch or 1, max_frames)
            opening = functools.partial(open_source, texts[0], sourcing, stop)
            taken_by_one = None if limit is None else _frames_bytes
            run_source(open_engine, opening, realtime, running, shown, summary, stop, taken_by_one)
    if stop.signal:
        return stop.exit_code
    return _exit_code(summary, exit_code)


def _stand(bundle: Path, asked: Asked) -> Standing:
    """Find out how the bundle is run here. Raises BundleError, UsageError."""
    return stand(bundle_sha256(bundle), asked)


def bundle_sha256(path: Path) -> str:
    """Return what names the bundle's exact bytes. Raises BundleError."""
    return read_bundle(path, check_hashes=False).sha256


def _tuned_table(here: Standing) -> CostTable | None:
    """What batches cost, as edge-tune measured; None: it is measured in a moment at the start.

    That is the model alone, without pre- and post-processing: good enough where nothing has a deadline.
    """
    if here.chosen.tuned is None:
        return None
    from edge_runtime.tune.batch_costs import tuned_costs

    with contextlib.suppress(UsageError):  # it holds too little for that
        return tuned_costs(here.chosen.tuned)
    return None


def _verify(bundle: Path, options: OpenOptions, as_json: bool, verbose: bool) -> int:
    """Verify a bundle, opened as a run would open it; returns the exit code."""
    from edge_runtime.verify.verify import verify_bundle  # which a run does not need

    with contextlib.ExitStack() as stack:
        if not verbose:
            stack.enter_context(hidden_native_stderr())
        with ProgressLine(_PREPARING) as progress:
            verification = verify_bundle(bundle, options, progress)
    write_line(sys.stdout, json.dumps(verification.to_json()) if as_json else verification.line())
    return 0 if verification.confirmed else VerificationError.exit_code


def _only_bundle(arguments: Sequence[str], purpose: str) -> Path:
    """The bundle that was named, or the sample's."""
    if len(arguments) > 1:
        raise UsageError(f"expected one bundle to {purpose}, found {', '.join(arguments)}")
    return Path(arguments[0]) if arguments else find_sample().bundle


def _explain(bundle: Path, options: OpenOptions, here: Standing) -> None:
    """Print what this machine is, and the plan of a bundle."""
    from edge_runtime.opening.limited import (
        plan_bundle,  # of the block engine, which a run without a limit does not need
    )

    with ProgressLine(_PREPARING) as progress:
        plan = plan_bundle(bundle, options, progress)
    click.echo("\n".join(here.lines()) + "\n")
    click.echo(explain_plan(plan))


def _frames_bytes(frame: Frame | None, batch: int) -> int:
    """What reading, judging and saving frames of this size takes beside the engine, in bytes."""
    size = _FULL_HD if frame is None or frame.image is None else frame.image.nbytes
    return _RUN_BYTES + _FRAME_COPIES * size * batch


def _served_bytes(frames: Sequence[Frame | None], held: int, at_once: int) -> int:
    """The same for several sources, of each of which `held` frames are kept, and one is being read."""
    sizes = [_FULL_HD if frame is None or frame.image is None else frame.image.nbytes for frame in frames]
    return _RUN_BYTES + sum(sizes) * (held + 1) + (_FRAME_COPIES - 1) * max(sizes) * at_once


def _what_to_run(arguments: Sequence[str], source: Sequence[str]) -> tuple[Path, Sequence[str]]:
    """Return the bundle and the sources, or say in one line what is missing."""
    if len(arguments) > 1 or (arguments and source and looks_like_source(arguments[0])):
        raise UsageError(
            f"expected one bundle, found {', '.join(arguments[:2])}{', ...' * (len(arguments) > 2)}; "
            "put quotes around a pattern (--source 'boards/*.png'), or the shell expands it, and commas in lists "
            "(--classes 45,50)"
        )
    if arguments and looks_like_source(arguments[0]):
        text = arguments[0]
        raise UsageError(f"{text} is something to look at, not a bundle; write: edge-run BUNDLE --source {text}")
    if arguments and source:
        return Path(arguments[0]), source
    if not arguments:
        sample = find_sample()
        return sample.bundle, source or (str(sample.images),)
    bundle = Path(arguments[0])
    with contextlib.suppress(EdgelineError, OSError, RuntimeError):  # no sample, a loop of links: an own bundle
        sample = find_sample()
        if bundle.resolve() == sample.bundle.resolve():
            return bundle, (str(sample.images),)
    raise UsageError(f"{bundle} has nothing to look at; add --source with a camera (0), URL, video, image or folder")


def _print_summary(summary: Summary, json_lines: bool) -> None:
    """Write the summary beside the records: to stderr when they are JSON. A closed terminal is no error."""
    summary.peak_bytes = memory().peak
    with contextlib.suppress(OSError):
        click.echo("\n".join(summary.lines()), err=json_lines)


def _exit_code(summary: Summary, by_verdict: bool) -> int:
    if summary.frames and summary.unread == summary.frames:
        raise DataError(f"none of the {summary.frames} frames could be read; the first failure is named above")
    if by_verdict and summary.verdicts["NG"]:
        return EXIT_NG
    if by_verdict and summary.verdicts["NO_READ"]:
        return EXIT_NO_READ
    return 0


def main() -> None:
    """Run `edge-run`."""
    own_process()
    run_command(edge_run, "edge-run")


if __name__ == "__main__":
    main()
