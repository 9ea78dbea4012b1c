"""Whole graphs as onnxruntime sessions, as the device opens them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edge_devices import usable_cores
from edge_devices.profile import ProviderChoice
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.errors import EngineError, ModelError, UsageError
from edge_runtime.ort.process import exact_products, import_onnxruntime, load_session, one_line, run_named, set_threads
from edge_runtime.ort.providers.choose import CPU, DEVICES, NativeProvider, choose, native_providers, short_name
from edge_runtime.ort.runner import Arrays, AtOnce, Tensors

if TYPE_CHECKING:
    from edge_runtime.ort.stepping.parking import Parking

__all__ = [
    "DEVICES",
    "PlainRunner",
    "SessionOptions",
    "SessionRunner",
    "find_providers",
    "open_session",
    "usable_threads",
]

# onnxruntime's names of element types that differ from numpy's.
_NUMPY_NAMES = {"float": "float32", "double": "float64"}


@dataclass(frozen=True)
class SessionOptions:
    """`device` is a key of DEVICES or a GPU ("cuda:1" or "1"); `threads` None takes the cores this process may use.

    `lanes`: how many runs may be under way at a time, each with `threads` threads. `spinning`: threads wait busily for
    the next layer. `cores`: the processors to stay on, none for wherever the system likes. `providers`: the board
    profile's list, for device "auto". `require_provider`: the one that has to be used, "" for none. `steps_back`: where
    other work holds the cores and fewer threads are faster, fewer run (one lane on the CPU alone).
    """

    device: str = "auto"
    threads: int | None = None
    lanes: int = 1
    spinning: bool = False
    cores: tuple[int, ...] = ()
    providers: tuple[ProviderChoice, ...] = ()
    require_provider: str = ""
    steps_back: bool = False


class SessionRunner(AtOnce):
    """A whole graph in one onnxruntime session. `run` may be called by several threads at a time."""

    def __init__(
        self,
        path: Path,
        options: SessionOptions,
        optimize: bool = True,
        provider: ProviderChoice | None = None,
        data: bytes | None = None,
    ) -> None:
        """Load the graph at `path`; `optimize` False for one that went through onnxruntime's optimizer already.

        `data`: the file's bytes, where somebody has looked at them.

        `provider` (of providers.choose.filled) computes it instead of what `options.device` names. Raises ModelError
        when onnxruntime refuses the graph or goes on without that provider, UsageError for bad options.
        """
        held, folder = (path, None) if data is None else (data, path.parent)
        self._take(open_session(held, options, optimize, provider, folder))

    def _take(self, session: Any) -> None:
        self._session: Any = session
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        try:
            self.inputs: tuple[TensorSpec, ...] = _specs(self._session.get_inputs())
            self.outputs: tuple[TensorSpec, ...] = _specs(self._session.get_outputs())
        except UnicodeDecodeError as error:  # which onnxruntime does not look at
            raise ModelError("the graph has a name that is no UTF-8; export the bundle again") from error
        self._outputs = [output.name for output in self.outputs]

    def run(self, feeds: Arrays) -> Tensors:
        """Run named arrays through the graph; returns every output by name. Raises EngineError."""
        session = self._session
        if session is None:
            raise EngineError("the engine is closed; open the bundle again")
        return run_named(session, self._outputs, feeds)

    def parking(self) -> Parking | None:
        """Return what puts this session's threads to rest. Whoever asks for it closes it before the runner."""
        from edge_runtime.ort.stepping.parking import Parking  # which sessions of one thread do without

        return Parking(self._session, self._outputs)

    def close(self) -> None:
        """Free the session; running again is an error."""
        self._session = None


class PlainRunner(SessionRunner):
    """onnxruntime as a program gets it that names a provider and sets nothing: every core, busy waiting."""

    def __init__(self, path: Path, provider: ProviderChoice) -> None:
        """Raises ModelError for a graph that does not load."""
        runtime = import_onnxruntime()
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        providers = native_providers(provider, runtime.get_available_providers())
        try:
            self._take(runtime.InferenceSession(str(path), options, providers=providers))
        except Exception as error:  # onnxruntime's exceptions share no other base
            raise ModelError(f"onnxruntime {runtime.__version__} cannot load {path}: {one_line(error)}") from error


def open_session(
    graph: Path | bytes,
    options: SessionOptions,
    optimize: bool = True,
    provider: ProviderChoice | None = None,
    folder: Path | None = None,
) -> Any:
    """Open a graph, a file or the bytes of one whose weights lie in `folder`, as onnxruntime's session.

    Raises as SessionRunner does.
    """
    runtime = import_onnxruntime()
    native = runtime.SessionOptions()
    native.log_severity_level = 4
    set_threads(native, usable_threads(options.threads))
    # Spinning threads win microseconds on an idle machine and lose milliseconds on a busy one.
    entries = {"session.intra_op.allow_spinning": "1" if options.spinning else "0", **exact_products()}
    if folder is not None:
        entries["session.model_external_initializers_file_folder_path"] = str(folder)
    for key, value in entries.items():
        native.add_session_config_entry(key, value)
    if not optimize:
        native.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if provider is None:
        providers = find_providers(runtime, options.device)
    else:
        providers = native_providers(provider, runtime.get_available_providers())
    name = str(graph) if isinstance(graph, Path) else f"blocks of {folder}"
    session = load_session(graph, native, name, providers)
    if provider is not None and session.get_providers()[0] != provider.name:
        raise ModelError(
            f"onnxruntime {runtime.__version__} went on without {short_name(provider.name)} for {name}; "
            "choose another --device"
        )
    return session


def _specs(values: Sequence[Any]) -> tuple[TensorSpec, ...]:
    specs = []
    for value in values:
        element = value.type.removeprefix("tensor(").removesuffix(")")
        shape = tuple(dim if isinstance(dim, int) else str(dim) for dim in value.shape or ())
        specs.append(TensorSpec(value.name, _NUMPY_NAMES.get(element, element), shape))
    return tuple(specs)


def usable_threads(wanted: int | None) -> int:
    """Return the threads to use: as `wanted`, or the cores that this process may use. Raises UsageError."""
    if wanted is None:
        return usable_cores()
    if wanted < 1:
        raise UsageError(f"--threads must be at least 1, found {wanted}")
    return wanted


def find_providers(runtime: ModuleType, device: str) -> list[NativeProvider]:
    """Return onnxruntime's providers for `device`, the CPU last. Raises UsageError for one that is not there."""
    choices = choose(device, (), "", runtime.get_available_providers())
    return [*((choice.name, dict(choice.options)) if choice.options else choice.name for choice in choices), CPU]
