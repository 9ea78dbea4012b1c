"""A bundle tuned on this machine, from its folder to the written profile."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from edge_devices import look, processor_name, saturates_int8
from edge_devices.machine import Machine
from edge_devices.profile import ProviderChoice
from edge_devices.thermal import hottest
from edge_runtime.blocks.measured import Measured
from edge_runtime.blocks.prepared import ENGINES, WHOLE, PreparedWhole, read_json
from edge_runtime.blocks.sums import sound
from edge_runtime.bundle.bundle import Bundle, read_bundle
from edge_runtime.bundle.trust import USUAL, check_trust
from edge_runtime.errors import EdgelineError, OutputError, RefusedError
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.ort.providers.choose import CPU, choose
from edge_runtime.ort.providers.load import loading
from edge_runtime.plan.measurements import Speeds
from edge_runtime.prepare.cache import usual_cache
from edge_runtime.prepare.make import find_measured, prepare_in
from edge_runtime.prepare.request import ProgressCall
from edge_runtime.prepare.speed import measure_speeds
from edge_runtime.tune.choice import Choice
from edge_runtime.tune.reading import largest_file, read_while
from edge_runtime.tune.rig import OrtRig
from edge_runtime.tune.space import Space
from edge_runtime.tune.store import cpu_key, read_tuned, tuned_folder, write_tuned
from edge_runtime.tune.subject import make_subject
from edge_runtime.tune.tune import Environment, TellCall, Tuning
from edge_runtime.tune.tuned import Provenance, Tuned

__all__ = ["TuneOptions", "Written", "prepare_blocks", "tune_bundle"]

_BATCHES = (1, 2, 4, 8)


@dataclass(frozen=True)
class TuneOptions:
    """`seconds` for everything that is measured; `device` as `--device` has it; `providers`: the board profile's list,
    for "auto"; `folder`: where profiles lie, None for the user's.
    """

    seconds: float
    device: str = "auto"
    providers: tuple[ProviderChoice, ...] = ()
    folder: Path | None = None


@dataclass(frozen=True)
class Written:
    """A profile, and the file it is in now; `taken`: the file that edge-run takes from now on."""

    tuned: Tuned
    path: Path
    taken: Path | None


def tune_bundle(
    path: Path,
    options: TuneOptions,
    machine: Machine,
    stop: Callable[[], bool],
    tell: TellCall,
    preparing: ProgressCall,
) -> Written | None:
    """Tune a bundle and write its profile; None if it was stopped before anything had been measured.

    What was measured is written, too, when an error or Ctrl-C ends it. Raises BundleError, ModelError, OutputError,
    EngineError.
    """
    folder = _checked_folder(options.folder)
    bundle = read_bundle(path)
    check_trust(path, bundle.sha256, USUAL)
    with contextlib.ExitStack() as cleanup:
        notes: list[str] = []
        providers = _providers(options, machine.usable_cores, notes.append)
        prepared = cleanup.enter_context(_prepared(bundle, machine, preparing, notes.append))
        if stop():
            return None
        speeds = _idle_speeds(bundle)
        subject = make_subject(bundle, prepared.graph, providers, prepared.engines)
        rig = OrtRig(subject, stop)
        cleanup.callback(rig.close)
        batches = (
            tuple(batch * subject.base_batch for batch in _BATCHES) if subject.free_batch else (subject.base_batch,)
        )
        names = (*(provider.name for provider in providers), CPU)
        space = Space(machine.cores, machine.usable_cores, batches, names)
        environment = Environment(
            time.perf_counter,
            stop,
            hottest,
            _Reading(largest_file(bundle), rig),
            lambda: look().throttled,
            dataclasses.replace(speeds, cores=machine.usable_cores),
        )
        tuning = Tuning(rig, space, environment, options.seconds, tell)
        tuning.notes += notes + _bundle_notes(bundle, subject.free_batch, subject.base_batch)
        try:
            tuning.run()
        except BaseException as error:
            # A second Ctrl-C ends the measuring in the middle of a turn, not the report.
            if not (isinstance(error, KeyboardInterrupt) and stop()):
                # What was measured so far is worth keeping; that it cannot be written is then the smaller trouble.
                with contextlib.suppress(EdgelineError):
                    _write(tuning, bundle, machine, folder)
                raise
        return _write(tuning, bundle, machine, folder)


def prepare_blocks(path: Path, threads: int, preparing: ProgressCall) -> Measured | None:
    """Prepare a bundle in blocks, as a run within a memory limit needs it, and return what each form was measured at.

    Raises what preparing raises.
    """
    cache = usual_cache()
    try:
        folder = prepare_in(cache, read_bundle(path), 1, threads, None, preparing)
        measured = find_measured(folder, threads, 1)
        return None if measured is None else measured.content
    finally:
        cache.close()


def _checked_folder(folder: Path | None) -> Path:
    """Find out now that the profile cannot be written, not after minutes of measuring."""
    folder = tuned_folder() if folder is None else folder
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {error.strerror}; set XDG_CONFIG_HOME to a folder that can be written"
        ) from error
    return folder


@dataclass(frozen=True)
class _Prepared:
    """The prepared whole graph, as edge-run opens it, and the folder for what providers compile; None without them."""

    graph: Path | None = None
    engines: Path | None = None


@contextlib.contextmanager
def _prepared(
    bundle: Bundle, machine: Machine, preparing: ProgressCall, tell: Callable[[str], None]
) -> Iterator[_Prepared]:
    """Prepare the whole graph and keep it while it is used; `tell` is called with why it is not there."""
    with contextlib.ExitStack() as cleanup:
        found = _Prepared()
        try:
            cache = usual_cache()
            cleanup.callback(cache.close)
            folder = prepare_in(cache, bundle, 1, machine.usable_cores, None, preparing, blocks=False)
            whole = read_json(PreparedWhole, folder / WHOLE)
            intact = whole is not None and sound(folder, whole.graph, whole.weights)
            (folder / ENGINES).mkdir(exist_ok=True)
            found = _Prepared(folder / whole.graph if whole is not None and intact else None, folder / ENGINES)
        except RefusedError:
            raise
        except (EdgelineError, OSError) as error:  # nothing needs it: edge-run opens the bundle's own graph then, too
            tell(f"the bundle could not be prepared, its own graph was measured: {error}")
        yield found


def _providers(options: TuneOptions, threads: int, tell: Callable[[str], None]) -> tuple[ProviderChoice, ...]:
    """The providers to try beside the CPU, those that really load; `tell` of the others."""
    present = import_onnxruntime().get_available_providers()
    return loading(choose(options.device, options.providers, "", present), threads, tell=tell)


def _idle_speeds(bundle: Bundle) -> Speeds:
    largest = largest_file(bundle)
    return measure_speeds([] if largest is None else [largest])


class _Reading:
    """Reads the bundle's largest file while a choice computes."""

    def __init__(self, path: Path | None, rig: OrtRig) -> None:
        self._path, self._rig = path, rig

    def __call__(self, choice: Choice) -> float | None:
        if self._path is None:
            return None
        return read_while(self._path, lambda done: self._rig.run(choice, 1.0, done))


def _bundle_notes(bundle: Bundle, free: bool, base: int) -> list[str]:
    notes = []
    if not free:
        notes.append(f"batches: the model's is fixed at {base}; export it with a free one to have them")
    if largest_file(bundle) is None:
        notes.append("storage: the bundle's files are too small to time reading them; typical figures stand for it")
    if hottest() is None:
        notes.append("temperature: this machine has no sensor that can be read")
    if saturates_int8():
        notes.append(
            "plain onnxruntime cuts off sums of 8-bit products on this processor; it may be faster, and wrong: "
            "every other figure is of exact sums"
        )
    return notes


def _write(tuning: Tuning, bundle: Bundle, machine: Machine, folder: Path) -> Written | None:
    version = str(import_onnxruntime().__version__)
    provenance = Provenance(
        board=_plain(machine.board or machine.cpu or processor_name()),
        cpu=_plain(machine.cpu or processor_name()),
        onnxruntime=version,
        edgeline=_edgeline_version(),
        created_utc=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(time.perf_counter() - tuning.started, 3),
        samples="",  # write_tuned knows
        cpu_key=cpu_key(),
    )
    tuned = tuning.result(_plain(bundle.manifest.model.name), bundle.sha256, provenance)
    if tuned is None:
        return None
    path = write_tuned(tuned, tuning.record.csv(), folder)
    return Written(tuned, path, read_tuned(bundle.sha256, folder).path)


def _plain(text: str) -> str:
    """What a board says of itself, without what a JSON file of ours does not hold."""
    return "".join(character for character in text if character.isprintable()).strip()


def _edgeline_version() -> str:
    try:
        return metadata.version("edgeline")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
