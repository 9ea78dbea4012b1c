"""A PyTorch model named as `package.module:factory`; calling the factory gives the nn.Module, weights
loaded.
"""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edge_export.model.metadata import facts_of_onnx
from edge_export.model.sources.onnx_file import joined_sha256, read_onnx
from edge_export.model.sources.options import LoadOptions
from edge_export.model.sources.quiet import quiet
from edge_export.probe import ProbeError, difference, open_session, run_session
from edge_export.run import one_line
from edge_export.state import SourceModel
from edge_runtime.errors import DependencyError, ModelError, UsageError

__all__ = ["convert_module", "load_module"]

# torch and onnxruntime sum in another order, and torch fuses nothing: more than the few ulps of a rewrite.
_TOLERANCE = 5.0
_SEED = 20240229


def load_module(spec: str, options: LoadOptions) -> SourceModel:
    """Import the factory (the current directory is importable), call it, export the module in eval mode.

    The example input comes from `options.input_shapes` (one entry per argument, float32 of 0..1), else from
    `example_inputs` (a tensor, a tuple of tensors, or a function giving one) of the nn.Module or of the
    Python module. The ONNX is run against the PyTorch module before it is believed.
    """
    module_name, _, attribute = spec.partition(":")
    with quiet(), _current_folder_importable():
        torch = _torch()
        holder = _import(module_name, spec)
        network = _call(holder, attribute, spec, torch)
        network.eval()
        names, examples = _examples(spec, network, holder, options, torch)
        model, digest, size = _convert(torch, network, examples, names, options, spec)
    return SourceModel(model, spec, digest, size, facts_of_onnx(model, attribute.rsplit(".", 1)[-1]))


def convert_module(network: Any, examples: tuple[Any, ...], name: str) -> onnx.ModelProto:
    """Return the ONNX of an nn.Module in eval mode, proved to answer `examples` (a tensor an input) as it does."""
    with quiet():
        return _convert(_torch(), network, examples, None, LoadOptions(), name)[0]


def _convert(
    torch: Any, network: Any, examples: tuple[Any, ...], names: list[str] | None, options: LoadOptions, spec: str
) -> tuple[onnx.ModelProto, str, int]:
    """The module as ONNX, the SHA-256 and the size of its files."""
    expected = _run(torch, network, examples, spec)
    with tempfile.TemporaryDirectory(prefix="edgeline-") as temporary:
        path = Path(temporary) / "model.onnx"
        _export(torch, network, examples, names, path, options, spec)
        model, files = read_onnx(path)
        digest, size = joined_sha256(files), sum(file.stat().st_size for file in files)
    _verify(expected, examples, model, spec)
    return model, digest, size


def _torch() -> Any:
    for package in ("torch", "onnxscript"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise DependencyError(
                f"a PyTorch module needs {package} ({error}); install it with: pip install 'edgeline[torch]'"
            ) from error
    return importlib.import_module("torch")


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before


def _import(name: str, spec: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(missing + "."):
            raise UsageError(
                f"{spec}: no Python module {name!r} in the current folder or among the installed packages; "
                f"start edge-export in the folder that holds it"
            ) from error
        raise ModelError(f"{spec}: importing {name} fails: it needs {missing!r}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise ModelError(f"{spec}: importing {name} fails: {_reason(error)}") from error


def _call(holder: Any, attribute: str, spec: str, torch: Any) -> Any:
    factory = holder
    for part in attribute.split("."):
        factory = getattr(factory, part, None)
        if factory is None:
            offered = ", ".join(sorted(n for n, v in vars(holder).items() if callable(v) and not n.startswith("_"))[:8])
            raise UsageError(f"{spec}: no {attribute!r} in {holder.__name__}; it offers {offered or 'no functions'}")
    if isinstance(factory, torch.nn.Module):
        return factory
    if not callable(factory):
        raise UsageError(f"{spec}: expected a function that returns an nn.Module, found {type(factory).__name__}")
    try:
        network = factory()
    except (Exception, SystemExit) as error:  # a script's main() may end the whole program
        raise ModelError(f"{spec}: the factory fails: {_reason(error)}; it must work without arguments") from error
    if not isinstance(network, torch.nn.Module):
        raise ModelError(f"{spec}: expected a torch.nn.Module from the factory, found {type(network).__name__}")
    return network


def _examples(
    spec: str, network: Any, holder: Any, options: LoadOptions, torch: Any
) -> tuple[list[str] | None, tuple[Any, ...]]:
    """Input names (None: those of forward's arguments) and the tensors to trace with."""
    if options.input_shapes:
        generator = torch.Generator().manual_seed(_SEED)
        tensors = []
        for name, shape in options.input_shapes.items():
            if any(not isinstance(dim, int) for dim in shape[1:]):
                raise UsageError(f"--input-shape {name}: only the first dimension may have a name, found {list(shape)}")
            numbers = [dim if isinstance(dim, int) else 1 for dim in shape]
            tensors.append(torch.rand(numbers, generator=generator))
        return list(options.input_shapes), tuple(tensors)
    for owner in (network, holder):
        given = getattr(owner, "example_inputs", None)
        if given is None:
            continue
        try:
            given = given() if callable(given) else given
        except (Exception, SystemExit) as error:
            raise ModelError(f"{spec}: example_inputs fails: {_reason(error)}") from error
        given = (given,) if isinstance(given, torch.Tensor) else given
        if isinstance(given, Sequence) and given and all(isinstance(item, torch.Tensor) for item in given):
            return None, tuple(given)
        raise ModelError(
            f"{spec}: expected a tensor or a tuple of tensors from example_inputs, found {type(given).__name__}"
        )
    raise UsageError(
        f"{spec}: the input's shape is not known; give --input-shape images:1,3,224,224, or define "
        f"example_inputs() beside the factory"
    )


def _export(
    torch: Any,
    network: Any,
    examples: tuple[Any, ...],
    names: list[str] | None,
    path: Path,
    options: LoadOptions,
    spec: str,
) -> None:
    """Try a free batch first, then the batch of the example."""
    reason = ""
    for free in (True, False):
        shapes = tuple({0: torch.export.Dim.DYNAMIC} if tensor.ndim else {} for tensor in examples) if free else None
        # a batch of 1 would be taken for a constant while the graph is traced
        traced = tuple(torch.cat([t, t]) if free and t.ndim and t.shape[0] == 1 else t for t in examples)
        try:
            with torch.no_grad():
                torch.onnx.export(
                    network,
                    traced,
                    str(path),
                    input_names=names,
                    dynamic_shapes=shapes,
                    opset_version=options.opset,
                    dynamo=True,
                    external_data=False,
                    verbose=False,
                )
            return
        except Exception as error:  # noqa: BLE001 - torch.export raises a family of unrelated types
            reason = _reason(error)
    raise ModelError(f"{spec}: torch.onnx.export fails: {reason}; export the model to ONNX yourself and give that file")


def _run(torch: Any, network: Any, examples: tuple[Any, ...], spec: str) -> list[np.ndarray[Any, Any]]:
    """What PyTorch itself answers to the example, as a flat list of arrays."""
    try:
        with torch.no_grad():
            return _flatten(network(*examples), torch)
    except (Exception, SystemExit) as error:
        shapes = [list(tensor.shape) for tensor in examples]
        raise ModelError(f"{spec}: the module fails on inputs of shape {shapes}: {_reason(error)}") from error


def _verify(expected: list[np.ndarray[Any, Any]], examples: tuple[Any, ...], model: onnx.ModelProto, spec: str) -> None:
    if len(model.graph.input) != len(examples):
        raise ModelError(
            f"{spec}: the module takes {len(examples)} inputs but its ONNX reads {len(model.graph.input)} of them; "
            f"leave out the argument that changes nothing"
        )
    feed = {value.name: tensor.numpy() for value, tensor in zip(model.graph.input, examples, strict=True)}
    try:
        problem = difference(expected, run_session(open_session(model), feed), _TOLERANCE)
    except ProbeError as error:
        problem = str(error)
    if problem:
        raise ModelError(f"{spec}: the exported ONNX does not answer as the PyTorch module does: {problem}")


def _flatten(value: Any, torch: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(value, torch.Tensor):
        return [value.detach().cpu().numpy()]
    if isinstance(value, dict):
        return [array for item in value.values() for array in _flatten(item, torch)]
    if isinstance(value, (list, tuple)):
        return [array for item in value for array in _flatten(item, torch)]
    return []


def _reason(error: BaseException) -> str:
    if type(error).__name__ == "TorchExportError" and error.__cause__ is not None:
        error = error.__cause__
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line for line in text.splitlines() if line.strip()]
    return f"{type(error).__name__}: {one_line(lines[0] if lines else '', 200)}".rstrip(": ")
