"""Opening a bundle on the providers that load: as prepare measured it, else whole on the first one."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_devices.profile import ProviderChoice
from edge_runtime.blocks.prepared import ENGINES, read_json, write_json
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.errors import EdgelineError, ModelError, OutputError
from edge_runtime.opening.whole import check_graph
from edge_runtime.ort.providers.choose import BUILDS, CPU, filled, short_name
from edge_runtime.ort.providers.load import loading, report
from edge_runtime.ort.providers.segments import SegmentRunner, segments_of
from edge_runtime.ort.runner import Runner
from edge_runtime.ort.session import SessionOptions, SessionRunner
from edge_runtime.prepare.cache import PreparedCache
from edge_runtime.prepare.make import prepare_in
from edge_runtime.prepare.provider_times import AssignedBlocks, Assignment, MeasuredProviders, ProviderTimes
from edge_runtime.prepare.request import ProgressCall, ProvidersRequest, WantedProvider, call, quiet
from edge_runtime.prepare.ticking import Ticking

__all__ = ["Wanted", "open_on_providers"]


@dataclass(frozen=True)
class Wanted:
    """What a bundle is to be opened with: `choices` in the order in which they are tried.

    `threads` is how many there are, `insisted` whether the user named the provider. `key` names the prepared folder in
    `cache` (None: nothing is kept), `prepare` says that what was not measured is to be measured.
    """

    choices: tuple[ProviderChoice, ...]
    session: SessionOptions
    threads: int
    batch: int
    insisted: bool
    prepare: bool
    cache: PreparedCache | None
    key: str

    def filled(self, engines: Path | None) -> tuple[ProviderChoice, ...]:
        """The choices with all their options; what they compile is kept in `engines`."""
        lanes = max(self.session.lanes, 1)
        return tuple(filled(choice, self.threads, lanes, engines) for choice in self.choices)


def open_on_providers(bundle: Bundle, wanted: Wanted, progress: ProgressCall | None) -> Runner | None:
    """Open a bundle whose hashes were checked; None: the CPU it is, by measurement or because nothing else works.

    Raises UsageError when a required provider does not load, ModelError when it cannot be used for this bundle.
    """
    tell = progress or quiet
    choices, known = wanted.filled(_engines(wanted)), _known(wanted)
    # What was measured is opened as it is. Only what did not load then is tried again: by now it may.
    measured = {times.provider for times in known.providers} if known else set()
    missing = [choice for choice in wanted.filled(None) if choice.name not in measured]
    loaded = {choice.name for choice in loading(missing, wanted.threads, wanted.session.require_provider)}
    choices = tuple(choice for choice in choices if choice.name in measured | loaded)
    if not choices:
        return None
    if loaded and (wanted.prepare or known is None):
        folder = _folder(bundle, wanted, tell)
        if folder is None:
            choices = tuple(choice for choice in wanted.filled(None) if choice.name in loaded)
        known = _measured(bundle, folder, choices, wanted, tell) if folder is not None and wanted.prepare else None
    if known is None:
        candidates = tuple(_whole_on(choice.name, bundle) for choice in choices)
    else:
        candidates = known.candidates
        if not candidates and wanted.insisted:
            _nothing_right(bundle, known, wanted)
    for candidate in candidates:
        if candidate.parts == _whole_on(CPU, bundle).parts:
            return None
        try:
            return _open(bundle, candidate, choices, wanted.session, tell)
        except ModelError as error:
            if wanted.session.require_provider and candidate is candidates[-1]:
                raise
            report(f"{_names(candidate)} is not used for {bundle.path.name}: {error}")
    return None


def _engines(wanted: Wanted) -> Path | None:
    """Where providers keep what they compile."""
    return None if wanted.cache is None else wanted.cache.folder(wanted.key) / ENGINES


def _known(wanted: Wanted) -> MeasuredProviders | None:
    """What was measured before with these options."""
    folder = None if wanted.cache is None else wanted.cache.use(wanted.key)
    return None if folder is None else read_json(MeasuredProviders, folder / _name(wanted))


def _folder(bundle: Bundle, wanted: Wanted, tell: ProgressCall) -> Path | None:
    """The bundle's prepared folder, made where that is wanted or providers compile; None: there is none."""
    cache = wanted.cache
    if cache is None:
        return None
    folder = None
    # Nothing needs it: a cache that cannot be written, a graph that the CPU refuses, cost a slower start, not the run.
    if wanted.prepare:
        with contextlib.suppress(EdgelineError):
            folder = prepare_in(cache, bundle, wanted.batch, wanted.threads, None, tell, blocks=False)
    if folder is None and (wanted.prepare or any(choice.name in BUILDS for choice in wanted.choices)):
        with (
            contextlib.suppress(OutputError),
            cache.making(wanted.key, lambda: tell("another process prepares this bundle", 0, 0)),
        ):
            if cache.use(wanted.key) is None:
                with cache.new(wanted.key):
                    pass
    folder = folder or cache.use(wanted.key)
    if folder is not None:
        with contextlib.suppress(OSError):
            (folder / ENGINES).mkdir(exist_ok=True)
    return folder


def _measured(
    bundle: Bundle, folder: Path, choices: Sequence[ProviderChoice], wanted: Wanted, tell: ProgressCall
) -> MeasuredProviders | None:
    """Measure providers that load, in a process of its own; None where that cannot be kept."""
    path = folder / _name(wanted)
    before = read_json(MeasuredProviders, path)
    request = ProvidersRequest(
        str(bundle.path.absolute()),
        str(path.absolute()),
        wanted.threads,
        max(wanted.session.lanes, 1),
        wanted.session.spinning,
        wanted.batch,
        wanted.insisted,
        tuple(WantedProvider(choice.name, dict(choice.options)) for choice in choices),
    )
    try:
        with _making(wanted, lambda: tell("another process measures this bundle", 0, 0)):
            known = read_json(MeasuredProviders, path)
            if known is None or known == before:
                with Ticking(tell) as ticking:
                    call("edge_runtime.prepare.providers_child", request, ticking)
                known = read_json(MeasuredProviders, path)
    except OutputError:  # a cache that cannot be written: nothing is kept, and nothing was measured
        return None
    except EdgelineError as error:
        report(f"{bundle.path.name} could not be measured on {_all(choices)}: {error}")
        # What ended a process of its own would end this one: it is not tried again.
        why = f"it could not be measured: {error}"
        known = MeasuredProviders(1, tuple(ProviderTimes(choice.name, None, (), 0.0, why) for choice in choices), ())
        with contextlib.suppress(OutputError):
            write_json(known, path)
        return known
    if known is not None:
        _report_wrong(bundle, known)
    return known


def _making(wanted: Wanted, waiting: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """The right to write into the prepared folder."""
    return contextlib.nullcontext() if wanted.cache is None else wanted.cache.making(wanted.key, waiting)


def _name(wanted: Wanted) -> str:
    """The file's name, of everything that what was measured depends on."""
    parts = (
        [(choice.name, sorted(choice.options.items())) for choice in wanted.filled(_engines(wanted))],
        (wanted.threads, wanted.session.lanes, wanted.session.spinning, wanted.batch, wanted.insisted),
    )
    return f"providers-{zlib.crc32(repr(parts).encode()):08x}.json"


def _open(
    bundle: Bundle,
    candidate: Assignment,
    choices: Sequence[ProviderChoice],
    options: SessionOptions,
    tell: ProgressCall,
) -> Runner:
    by_name = {CPU: ProviderChoice(CPU), **{choice.name: choice for choice in choices}}
    if any(part.provider not in by_name for part in candidate.parts):
        raise ModelError(f"it was measured on {_names(candidate)}, which does not load any more")
    with contextlib.ExitStack() as stack:
        if any(part.provider in BUILDS for part in candidate.parts):
            ticking = stack.enter_context(Ticking(tell))
            ticking(f"{_names(candidate)} builds its engine, which may take minutes", 0, 0)
        if len(candidate.parts) == 1:
            whole = SessionRunner(bundle.file("model.onnx"), options, provider=by_name[candidate.parts[0].provider])
            check_graph(bundle, whole)
            return whole
        cuts = [(by_name[part.provider], part.first, part.stop) for part in candidate.parts]
        return SegmentRunner(bundle, segments_of(bundle.manifest, cuts), options)


def _whole_on(provider: str, bundle: Bundle) -> Assignment:
    return Assignment((AssignedBlocks(provider, 0, len(bundle.manifest.blocks)),), 0.0)


def _nothing_right(bundle: Bundle, known: MeasuredProviders, wanted: Wanted) -> None:
    """The user named a provider, and it cannot be used. Raises ModelError where it was required."""
    reasons = [times.refused for times in known.providers if times.refused and times.provider != CPU]
    why = reasons[0] if reasons else "it could not be measured"
    line = f"{_all(wanted.choices)} cannot be used for {bundle.path.name}: {why}"
    if wanted.session.require_provider:
        raise ModelError(f"--require-provider {wanted.session.require_provider}: {line}; leave it out to use the CPU")
    report(f"{line}; the CPU is used")


def _report_wrong(bundle: Bundle, known: MeasuredProviders) -> None:
    """Say once which providers are not used, and for what."""
    for times in known.providers:
        name = short_name(times.provider)
        if times.refused:
            report(f"{name} is not used for the whole of {bundle.path.name}: {times.refused}")
        if times.wrong:
            more = f" and {len(times.wrong) - 1} more" if len(times.wrong) > 1 else ""
            report(f"{name} is not used for some blocks of {bundle.path.name}: {times.wrong[0]}{more}")


def _names(candidate: Assignment) -> str:
    return " + ".join(dict.fromkeys(short_name(part.provider) for part in candidate.parts))


def _all(choices: Sequence[ProviderChoice]) -> str:
    return ", ".join(short_name(choice.name) for choice in choices)
