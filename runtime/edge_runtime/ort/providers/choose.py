"""Which of onnxruntime's execution providers are wanted, in which order and with which options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_devices.profile import ProviderChoice
from edge_runtime.errors import UsageError

__all__ = [
    "BUILDS",
    "CPU",
    "DEVICES",
    "NativeProvider",
    "choose",
    "filled",
    "gpu_of",
    "insisted",
    "install_line",
    "known_device",
    "native_providers",
    "provider_named",
    "short_name",
]

CPU = "CPUExecutionProvider"
_TENSORRT, _CUDA, _OPENVINO = "TensorrtExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider"
_XNNPACK, _ACL, _COREML = "XnnpackExecutionProvider", "ACLExecutionProvider", "CoreMLExecutionProvider"

# What `--device` takes beside cuda:N, and the providers tried for it in order; the CPU always stands behind.
DEVICES: Mapping[str, tuple[str, ...]] = {
    "auto": (_TENSORRT, _CUDA),
    "cpu": (),
    "cuda": (_CUDA,),
    "tensorrt": (_TENSORRT, _CUDA),
    "openvino": (_OPENVINO,),
    "xnnpack": (_XNNPACK,),
    "acl": (_ACL,),
    "coreml": (_COREML,),
}

# Compile a graph for minutes when they first see it.
BUILDS = frozenset({_TENSORRT})
# Have memory of their own, which onnxruntime calls "cuda".
_ON_CUDA = frozenset({_TENSORRT, _CUDA})

# Options that are given unless a profile has its own. "{threads}" and "{lanes}" are those of the session, "{cache}" the
# folder that stays. Sources: onnxruntime.ai/docs/execution-providers, a page for each.
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    _TENSORRT: {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "{cache}",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": "{cache}",
    },
    _OPENVINO: {"device_type": "CPU"},
    _XNNPACK: {"intra_op_num_threads": "{threads}"},
    _COREML: {"ModelFormat": "MLProgram", "ModelCacheDirectory": "{cache}"},
}
# OpenVINO brings its own threads, which these only tell anything on the CPU.
_OPENVINO_ON_CPU: Mapping[str, str] = {"num_of_threads": "{threads}", "num_streams": "{lanes}"}
_CACHE = "{cache}"

_GPU_WHEEL = "pip install onnxruntime-gpu in place of onnxruntime (on a Jetson: NVIDIA's wheel for its JetPack)"
_INSTALL: Mapping[str, str] = {
    _TENSORRT: _GPU_WHEEL,
    _CUDA: _GPU_WHEEL,
    _OPENVINO: "pip uninstall onnxruntime, then pip install onnxruntime-openvino",
    _XNNPACK: "install an onnxruntime that was built with --use_xnnpack",
    _ACL: "install an onnxruntime that was built with --use_acl",
    _COREML: "run on macOS, whose onnxruntime has it",
}

_GPU = re.compile(r"(?:cuda:)?([0-9]{1,3})")

# As onnxruntime takes it: a name, or a name and options.
NativeProvider = str | tuple[str, dict[str, str]]


def choose(
    device: str, profile: Sequence[ProviderChoice], require: str, present: Sequence[str]
) -> tuple[ProviderChoice, ...]:
    """Return the providers to try in order, those that this onnxruntime was built with; () is the CPU alone.

    `device` is what --device says; anything but "auto" wins over the board `profile`'s list, of which the first of each
    name counts. `require` ("" for none) names the one that has to be used. Raises UsageError for a device or a provider
    that is not known or not there.
    """
    name, gpu = known_device(device)
    listed = _listed(name, gpu, profile)
    if require:
        return _required(provider_named(require), require, device, name, listed, present)
    found = tuple(choice for choice in listed if choice.name in present)
    if listed and not found and name != "auto":
        raise UsageError(
            f"--device {device} needs {' or '.join(DEVICES[name])}, this onnxruntime has {', '.join(present)}; "
            "install the onnxruntime build for that device, or use --device cpu"
        )
    return found


def insisted(device: str, require: str) -> bool:
    """Tell whether the user named what is to compute, so that the CPU is no choice but a refuge."""
    return bool(require) or device.strip().lower() != "auto"


def filled(choice: ProviderChoice, threads: int, lanes: int, cache: Path | None) -> ProviderChoice:
    """Return the choice with its usual options and what they stand for; without a `cache` nothing is kept in one."""
    options = {**_OPTIONS.get(choice.name, {}), **choice.options}
    if choice.name == _OPENVINO and options.get("device_type", "CPU") == "CPU":
        options = {**_OPENVINO_ON_CPU, **options}
    if cache is None:
        # A switch without its folder would write into whatever folder the user stands in.
        options = {
            key: value for key, value in options.items() if _CACHE not in value and not key.endswith("_cache_enable")
        }
    places = {_CACHE: str(cache), "{threads}": str(threads), "{lanes}": str(lanes)}
    for place, text in places.items():
        options = {key: value.replace(place, text) for key, value in options.items()}
    return ProviderChoice(choice.name, options)


def native_providers(choice: ProviderChoice, present: Sequence[str]) -> list[NativeProvider]:
    """Return the providers of a session on `choice` (the CPU's for CPU), with what computes what it does not take."""
    native: list[NativeProvider] = []
    if choice.name != CPU:
        native.append((choice.name, dict(choice.options)) if choice.options else choice.name)
    if choice.name == _TENSORRT and _CUDA in present:
        gpu = choice.options.get("device_id")
        native.append((_CUDA, {"device_id": gpu}) if gpu else _CUDA)
    return [*native, CPU]


def gpu_of(choice: ProviderChoice) -> int | None:
    """Return the number of the GPU whose memory this provider computes in, None for main memory."""
    return int(choice.options.get("device_id", "0")) if choice.name in _ON_CUDA else None


def provider_named(text: str) -> str:
    """Return a provider's full name: "openvino" and "OpenVINOExecutionProvider" are one. Raises UsageError."""
    wanted = text.strip().lower().removesuffix("executionprovider")
    known = {short_name(name).lower(): name for name in (*_INSTALL, CPU)}
    if wanted not in known:
        raise UsageError(f"--require-provider {text!r} is not known; choose one of {', '.join(known)}")
    return known[wanted]


def short_name(provider: str) -> str:
    """Return a provider's name as people say it: "OpenVINO"."""
    return provider.removesuffix("ExecutionProvider")


def install_line(provider: str) -> str:
    """Return what to do to have this provider."""
    return _INSTALL.get(provider, f"install an onnxruntime that has {provider}")


def known_device(device: str) -> tuple[str, str]:
    """Return a key of DEVICES, and the GPU's number where one was named. Raises UsageError for another word."""
    name = device.strip().lower()
    gpu = _GPU.fullmatch(name)  # "0" and "cuda:0", as detectors' own tools call it
    if gpu:
        return "cuda", gpu[1]
    if name not in DEVICES:
        raise UsageError(f"--device {device!r} is not known; choose one of {', '.join(DEVICES)}, cuda:0, cuda:1, ...")
    return name, ""


def _listed(name: str, gpu: str, profile: Sequence[ProviderChoice]) -> list[ProviderChoice]:
    """The providers of a device in order, with the profile's options for them."""
    if name == "auto" and profile:
        names = [choice.name for choice in profile]
        # What a profile lists behind the CPU is slower than it.
        before = profile[: names.index(CPU)] if CPU in names else profile
        return [choice for k, choice in enumerate(before) if choice.name not in names[:k]]
    of_profile = {choice.name: choice.options for choice in reversed(profile)}
    number = {"device_id": gpu} if gpu else {}
    return [ProviderChoice(provider, {**of_profile.get(provider, {}), **number}) for provider in DEVICES[name]]


def _required(
    needed: str,
    require: str,
    device: str,
    name: str,
    listed: Sequence[ProviderChoice],
    present: Sequence[str],
) -> tuple[ProviderChoice, ...]:
    if name != "auto" and needed not in (DEVICES[name] or (CPU,)):
        raise UsageError(f"--require-provider {require} and --device {device} contradict each other; leave one out")
    if needed == CPU:
        return ()
    if needed not in present:
        raise UsageError(
            f"--require-provider {require} needs {needed}, this onnxruntime has {', '.join(present)}; "
            f"{install_line(needed)}"
        )
    return (next((choice for choice in listed if choice.name == needed), ProviderChoice(needed)),)
