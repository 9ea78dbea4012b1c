"""What stands under a measurement: this machine's profile, its temperature, and the facts that go with a report."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Sequence

import numpy as np

from edge_devices import Detection, look
from edge_devices.machine import Machine
from edge_devices.power import FoundSensor
from edge_devices.thermal import hottest_zone
from edge_runtime.bundle.bundle import Bundle
from edge_tools.bench.cases import About, Climate

__all__ = ["bundle_facts", "climate_of", "describe"]


def climate_of(machine: Machine) -> Climate:
    """Return the hottest zone and what holds the clocks down."""
    zone = hottest_zone(machine.zones)
    celsius, name = (zone.celsius, zone.name) if zone else (None, "")
    return Climate(celsius, name, machine.throttled, machine.throttled_before)


def bundle_facts(bundle: Bundle) -> dict[str, str]:
    """Return what the manifest tells of the bundle, for people."""
    manifest = bundle.manifest
    made = manifest.provenance
    facts = {
        "model": manifest.model.name,
        "version": manifest.model.version,
        "precision": manifest.model.precision,
        "made of": made.source,
        "SHA-256 of the source": manifest.model.sha256,
        "made with": f"edgeline {made.edgeline}, onnx {made.onnx}, onnxruntime {made.onnxruntime}",
        "made on": made.created_utc,
    }
    return {name: value for name, value in facts.items() if value}


def describe(
    bundle: Bundle,
    detection: Detection,
    power: FoundSensor,
    idle_watts: float | None,
    load: float | None,
    onnxruntime: str,
    arguments: Sequence[str] | None = None,
) -> About:
    """Return when, where and what; the temperature is read again now, after everything was measured."""
    sensor = power.sensor
    return About(
        date_utc=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        command=shlex.join(["edge-bench", *(sys.argv[1:] if arguments is None else arguments)]),
        board=detection.profile.id,
        board_name=detection.machine.board or detection.profile.name,
        how=f"{detection.how}: {detection.why}" if detection.why else detection.how,
        versions={
            "edgeline": _edgeline(),
            "onnxruntime": onnxruntime,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "linux": platform.release(),
        },
        bundle=bundle_facts(bundle),
        before=climate_of(detection.machine),
        after=climate_of(look()),
        power=power.why if sensor is None else f"{sensor.name}, {sensor.covers}",
        idle_watts=idle_watts,
        load=load,
    )


def _edgeline() -> str:
    try:
        return importlib.metadata.version("edgeline")
    except importlib.metadata.PackageNotFoundError:
        return "from its sources"
