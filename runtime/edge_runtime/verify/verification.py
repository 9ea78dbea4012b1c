"""What came of verifying a bundle on a device: plain data, one line for people and one object for machines."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_devices import saturates_int8
from edge_runtime.bundle.manifest import Certificate
from edge_runtime.bundle.trust import UNSIGNED, Trust
from edge_runtime.errors import VerificationError
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.verify.answer import WORDS

__all__ = ["AnswerCheck", "Machine", "PartCheck", "Verification", "describe_machine"]

_SHORT = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "ARM64", "arm64": "ARM64"}


@dataclass(frozen=True)
class Machine:
    """What ran: the processor's kind, onnxruntime's version and its providers, "CPU" last."""

    processor: str
    onnxruntime: str
    providers: tuple[str, ...]
    # x86 without VNNI: onnxruntime adds pairs of 8-bit products in 16 bits there, which overflow
    saturates: bool

    def __str__(self) -> str:
        return f"{self.processor} (onnxruntime {self.onnxruntime}, {self.providers[0]})"


@dataclass(frozen=True)
class PartCheck:
    """One part of the outputs, over all samples; decibels are signal to noise.

    `deviation_db`: here against the recorded answers. `fp32_db` and `recorded_db`: here, and where it was exported,
    against FP32 on the same samples; None where FP32's answers were not recorded. `certified_db`: the manifest's
    figure, on its own samples. `needed_db`: the least that confirms. `largest_gap`: from the recorded answers, in units
    of the output, and what is allowed of it, None where the manifest does not tell. `not_finite`: values that are
    numbers there and not here.
    """

    name: str
    values: int
    deviation_db: float
    fp32_db: float | None
    recorded_db: float | None
    certified_db: float | None
    needed_db: float
    largest_gap: float
    allowed_gap: float | None
    not_finite: int

    @property
    def measured_db(self) -> float:
        """What is held against `needed_db`."""
        return self.deviation_db if self.fp32_db is None else self.fp32_db

    @property
    def problem(self) -> str:
        """Why this part refutes the certificate, or ""."""
        if self.not_finite:
            return f"output {self.name!r} holds {self.not_finite} values that are NaN or infinite here"
        if not self.measured_db >= self.needed_db:
            what = "its recorded answers" if self.fp32_db is None else "FP32"
            found = f"output {self.name!r} is {self.measured_db:.1f} dB from {what}"
            return f"{found}, at least {self.needed_db:.1f} dB must be"
        if self.allowed_gap is not None and not self.largest_gap <= self.allowed_gap:
            return f"output {self.name!r} is off by up to {self.largest_gap:.3g}, at most {self.allowed_gap:.3g} can be"
        return ""


@dataclass(frozen=True)
class AnswerCheck:
    """The share (0..1) of what the answers mean that is the same: boxes, classes, pixels or verdicts, by task."""

    task: str
    share: float

    def __str__(self) -> str:
        # Never rounded up to 100.
        return f"{WORDS.get(self.task, 'answers')} {int(self.share * 1000) / 10:g} % the same"


@dataclass(frozen=True)
class Verification:
    """What was found.

    `trust` says who vouches for the certificate. `changes` are answers that mean another thing here; `ms_per_frame` is
    told and never judged.
    """

    bundle: str
    bundle_sha256: str
    machine: Machine
    samples: int
    parts: tuple[PartCheck, ...]
    answers: AnswerCheck | None
    changes: tuple[str, ...]
    ms_per_frame: float
    certificate: Certificate | None
    exported_with: str
    integers: bool
    trust: Trust = UNSIGNED

    @property
    def reasons(self) -> tuple[str, ...]:
        """What refutes the certificate here; () confirms it."""
        return (*(part.problem for part in self.parts if part.problem), *self.changes)

    @property
    def confirmed(self) -> bool:
        """Whether the bundle does here what its certificate says, whoever wrote that."""
        return not self.reasons

    @property
    def word(self) -> str:
        """What is said of it: nobody vouches for an unsigned certificate, which can say anything of a changed model."""
        if self.reasons:
            return "refuted"
        return "confirmed" if self.trust.signed else "intact"

    def check(self) -> None:
        """Raise VerificationError unless it is confirmed."""
        if not self.confirmed:
            raise VerificationError(self.line())

    def line(self) -> str:
        """The result in one line."""
        if self.confirmed:
            facts = [self._noise(), str(self.answers or ""), self._speed()]
            facts.append(str(self.trust))
            return f"{self.word}: {self.bundle} on {self.machine}: {'; '.join(fact for fact in facts if fact)}"
        more = f" and {len(self.reasons) - 1} more" if len(self.reasons) > 1 else ""
        facts = [f"{self.reasons[0]}{more}", str(self.answers or ""), self._advice()]
        return f"refuted: {self.bundle} on {self.machine}: {'; '.join(fact for fact in facts if fact)}"

    def to_json(self) -> dict[str, Any]:
        """The result as one JSON object."""
        latency = self.certificate.latency if self.certificate else None
        return {
            "verification": self.word,
            "bundle": self.bundle,
            "bundle_sha256": self.bundle_sha256,
            "trust": self.trust.word,
            "key": self.trust.key or None,
            "machine": dataclasses.asdict(self.machine),
            "samples": self.samples,
            "outputs": [{**dataclasses.asdict(part), "problem": part.problem} for part in self.parts],
            "answers": dataclasses.asdict(self.answers) if self.answers else None,
            "changes": list(self.changes),
            "ms_per_frame": round(self.ms_per_frame, 3),
            "certificate_latency": dataclasses.asdict(latency) if latency else None,
            "advice": "" if self.confirmed else self._advice(),
        }

    def _noise(self) -> str:
        samples = f"{self.samples} golden sample{'s' * (self.samples > 1)}"
        if not self.parts:
            return samples
        worst = min(self.parts, key=lambda part: (part.measured_db, part.certified_db or 0.0))
        said = "" if worst.certified_db is None else f", the certificate says {worst.certified_db:.1f} dB"
        if worst.fp32_db is None:
            of = " from FP32" if said else ""
            return f"{worst.deviation_db:.1f} dB from the recorded answers to {samples}{said}{of}"
        there = "" if worst.recorded_db is None else f" ({worst.recorded_db:.1f} dB where it was exported)"
        return f"{worst.fp32_db:.1f} dB from FP32 on {samples}{there}{said}"

    def _speed(self) -> str:
        latency = self.certificate.latency if self.certificate else None
        there = f" ({latency.bundle_ms:.1f} ms on {latency.machine})" if latency else ""
        return f"{self.ms_per_frame:.1f} ms a frame{there}"

    def _advice(self) -> str:
        """What to do about a refuted bundle, the likeliest cause first."""
        if self.machine.providers[0] != "CPU":
            cure = "try --device cpu"
        elif self.integers and self.machine.saturates:
            cure = (
                "this processor has no VNNI, and its 8-bit sums may overflow: export it again with --quantize fp16, or "
                "use another processor"
            )
        elif self.machine.onnxruntime != self.exported_with:
            cure = f"try onnxruntime {self.exported_with}, which it was exported with"
        else:
            cure = "try --no-cache, or export it again on this machine"
        return f"do not rely on it here; {cure}"


def describe_machine(providers: Sequence[str], root: Path = Path("/")) -> Machine:
    """Return what runs here; `root` is that of /proc/cpuinfo, where Linux tells what the processor can do."""
    processor = platform.machine()
    short = tuple(name.removesuffix("ExecutionProvider") for name in providers)
    saturates = _SHORT.get(processor) == "x86-64" and saturates_int8(root)
    return Machine(_SHORT.get(processor, processor), str(import_onnxruntime().__version__), short, saturates)
