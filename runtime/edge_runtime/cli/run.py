"""The `edge-run` command: which bundle, which source, which sinks; what then happens is inspect/pipeline.py's."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from edge_runtime.bundle.bundle import bundle_sha256
from edge_runtime.bundle.current import followed
from edge_runtime.bundle.trust import Trust, check_trust
from edge_runtime.cli.console import hidden_native_stderr, run_command
from edge_runtime.cli.flags import Flags, asked_of, open_options, run_settings, source_options, trust_policy
from edge_runtime.cli.options import EXIT_NG, EXIT_NO_READ, PREPARING, RECIPES, EdgeRun, run_options
from edge_runtime.cli.progress import ProgressLine
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import DataError, EdgelineError, OutputError, TrustError, UsageError, VerificationError
from edge_runtime.inspect.address import masked
from edge_runtime.inspect.pipeline import run_pipeline
from edge_runtime.inspect.reader.process import ReaderProcess
from edge_runtime.inspect.room import frames_bytes
from edge_runtime.inspect.sinks.lines import write_line
from edge_runtime.inspect.sources.listed import each_source
from edge_runtime.inspect.sources.open import looks_like_source
from edge_runtime.inspect.stop import Stop, stop_on_signals
from edge_runtime.inspect.summary import Summary
from edge_runtime.opening.options import OpenOptions
from edge_runtime.ort.process import own_process
from edge_runtime.tune.standing import Asked, Standing, stand

__all__ = ["edge_run", "main"]

_HUNG_UP = 128 + 1  # SIGHUP


@click.command(cls=EdgeRun, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@run_options
def edge_run(flags: Flags) -> int:
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
      edge-run --source good/ --learn-health limits.json
      edge-run boards.edge --source 0 --health limits.json
      edge-run boards.edge --verify                     does it answer here as where it was exported?
      edge-run station.yaml                             a station: edge-station init writes its recipe

    \b
    Exit codes: 0 done, 2 usage, 3 bundle, 5 source, 6 no frame could be read,
    7 output, 9 engine, 12 memory limit too small, 13 refuted by --verify, 14 store, 16 not
    signed by a trusted key, 129 hang-up, 130 Ctrl-C, 143 SIGTERM.
    """
    arguments, sources = flags.texts("arguments"), flags.texts("source")
    if flags.on("verify") or flags.on("explain"):
        return _without_source(flags, arguments, sources)
    if (limits := flags.find("learn_health", Path)) is not None:
        return _learn(flags, limits, arguments, sources)
    if arguments and arguments[0].lower().endswith(RECIPES):
        from edge_runtime.cli.station_run import run_recipe  # which a run of one bundle does without

        return run_recipe(flags, arguments, _stand)
    bundle, texts = _what_to_run(arguments, [one for text in sources for one in each_source(text)])
    bundle = followed(bundle)
    here = _stand(bundle, asked_of(flags, texts))
    settings = run_settings(flags, bundle, texts, here)
    stop = Stop()
    try:
        with _quiet(flags), ProgressLine(PREPARING) as progress:
            summary = run_pipeline(settings, stop, progress)
    except OutputError:
        if stop.exit_code != _HUNG_UP:  # nothing can be written to a terminal that is gone
            raise
    if stop.signal:
        return stop.exit_code
    return _exit_code(summary, flags.on("exit_code"))


def _quiet(flags: Flags) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if flags.on("verbose") else hidden_native_stderr()


def _without_source(flags: Flags, arguments: Sequence[str], sources: Sequence[str]) -> int:
    """Verify a bundle, or explain its plan. Raises UsageError for flags that would be ignored."""
    verify = flags.on("verify")
    if verify and (sources or flags.on("explain")):
        raise UsageError("--verify runs the bundle's own golden samples; leave out --source and --explain")
    for flag in ("batch", "lanes"):
        if verify and flags.find(flag, int) is not None:
            raise UsageError(f"--verify runs one golden sample after another; leave out --{flag}")
    named = followed(_only_bundle(arguments, "verify" if verify else "explain"))
    here = _stand(named, asked_of(flags))
    options = replace(open_options(flags, here, prepare=verify), batch=flags.find("batch", int) or 1)
    trust = check_trust(named, bundle_sha256(named), trust_policy(flags))
    if verify:
        return _verify(named, options, trust, flags)
    if options.memory_limit is not None:  # as a run would: what frames take is not the model's
        options = replace(options, reserve_bytes=frames_bytes([None], options.batch, options.batch))
    _explain(named, options, here)
    return 0


def _learn(flags: Flags, target: Path, arguments: Sequence[str], sources: Sequence[str]) -> int:
    """Learn from the pictures of the sources what good ones are like. (A bundle may be named; it is not needed.)"""
    if not sources or any(looks_like_source(argument) for argument in arguments):
        raise UsageError("--learn-health wants good pictures: edge-run --source good/ --learn-health limits.json")
    # Which a run does not need.
    from edge_runtime.inspect.health.learning import learn_from
    from edge_runtime.inspect.health.limits import write_limits

    stop = Stop()
    most = flags.find("max_frames", int)
    with contextlib.closing(ReaderProcess()) as reader, _quiet(flags), stop_on_signals(stop):
        limits = learn_from(sources, replace(source_options(flags), reader=reader), most, stop)
    if stop.signal:
        return stop.exit_code
    write_limits(target, limits)
    write_line(sys.stdout, f"{limits.line()}; written to {target}")
    return 0


def _stand(bundle: Path, asked: Asked) -> Standing:
    """Find out how the bundle is run here. Raises BundleError, UsageError."""
    return stand(bundle_sha256(bundle), asked)


def _verify(bundle: Path, options: OpenOptions, trust: Trust, flags: Flags) -> int:
    """Verify a bundle, opened as a run would open it; returns the exit code."""
    from edge_runtime.opening.verified import verify_bundle  # which a run does not need

    with _quiet(flags), ProgressLine(PREPARING) as progress:
        verification = replace(verify_bundle(bundle, options, progress), trust=trust)
    if verification.bundle_sha256 != trust.sha256:
        raise TrustError(f"{bundle} was exchanged while it was opened; start again")
    as_json = flags.find("as_json", bool)
    write_line(sys.stdout, json.dumps(verification.to_json()) if as_json else verification.line())
    return 0 if verification.confirmed else VerificationError.exit_code


def _only_bundle(arguments: Sequence[str], purpose: str) -> Path:
    """The bundle that was named, or the sample's."""
    if len(arguments) > 1:
        raise UsageError(f"expected one bundle to {purpose}, found {', '.join(map(masked, arguments))}")
    return Path(arguments[0]) if arguments else find_sample().bundle


def _explain(bundle: Path, options: OpenOptions, here: Standing) -> None:
    """Print what this machine is, and the plan of a bundle."""
    # Of the block engine, which a run without a limit does not need.
    from edge_runtime.opening.limited import plan_bundle
    from edge_runtime.plan.explain import explain

    with ProgressLine(PREPARING) as progress:
        plan = plan_bundle(bundle, options, progress)
    click.echo("\n".join(here.lines()) + "\n")
    click.echo(explain(plan, options.reserve_bytes))


def _what_to_run(arguments: Sequence[str], source: Sequence[str]) -> tuple[Path, Sequence[str]]:
    """Return the bundle and the sources, or say in one line what is missing."""
    if len(arguments) > 1 or (arguments and source and looks_like_source(arguments[0])):
        raise UsageError(
            f"expected one bundle, found {', '.join(map(masked, arguments[:2]))}{', ...' * (len(arguments) > 2)}; "
            "put quotes around a pattern (--source 'boards/*.png'), or the shell expands it, and commas in lists "
            "(--classes 45,50)"
        )
    if arguments and looks_like_source(arguments[0]):
        text = masked(arguments[0])
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
