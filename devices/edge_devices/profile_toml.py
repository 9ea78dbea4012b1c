"""A profile's TOML file -> Profile, strictly: what is not understood is an error, never a guess (format: PROFILES.md).

    profile = read_profile(Path("raspberry-pi-5.toml"))   # its id is "raspberry-pi-5"

The file is read whole and checked whole: the size before reading, every key, type and range before a Profile is made.
"""

from __future__ import annotations

import itertools
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from edge_devices.machine import StorageKind
from edge_devices.profile import Cluster, Match, Prior, Profile, ProviderChoice
from edge_devices.toml_table import ProfileError, Table

if sys.version_info >= (3, 11):
    import tomllib
else:  # Python 3.10 has no reader of its own; tomli is the same code
    import tomli as tomllib

__all__ = ["ProfileError", "make_profile", "parse_profile", "read_profile"]

_LARGEST_BYTES = 64 << 10  # the shipped ones have 2 to 4 KB
_ARCHITECTURES = ("aarch64", "armv7l", "x86_64")
_STORAGE = tuple(kind for kind in get_args(StorageKind) if kind != "unknown")

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_INSTRUCTIONS = re.compile(r"[a-z0-9_]+")
_PROVIDER = re.compile(r"[A-Za-z0-9]+ExecutionProvider")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_CPU = "CPUExecutionProvider"


def read_profile(path: Path) -> Profile:
    """Read one profile; its id is the file's name without ".toml". Raises ProfileError, one sentence, and nothing else.

    `file` of the result is empty: who reads a user's own says so.
    """
    if not _ID.fullmatch(path.stem):
        raise ProfileError(
            f"{path}: a profile's id is its file's name: expected small letters, digits and single dashes such as "
            f"my-board.toml, found {path.name!r}; rename the file"
        )
    return parse_profile(path.stem, _text(path), str(path))


def parse_profile(identity: str, text: str, where: str) -> Profile:
    """Make a profile of a file's text; `where` is what errors call the file. Raises ProfileError."""
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise ProfileError(f"{where}: brackets nested too deeply; a profile has tables within tables only") from None
    except ValueError as error:  # TOMLDecodeError, or a number of more digits than Python converts
        detail = " ".join(str(error).split())
        raise ProfileError(f"{where}: not valid TOML: {detail}; correct that line (see https://toml.io)") from error
    return make_profile(identity, data, where)


def _text(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ProfileError(f"{path}: expected a TOML file, found something else (a folder, a device or a pipe)")
        if status.st_size > _LARGEST_BYTES:
            raise ProfileError(
                f"{path}: expected a profile of at most {_LARGEST_BYTES >> 10} KB, found {status.st_size >> 10} KB; "
                "is it another kind of file?"
            )
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror or error}; check the file's rights") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProfileError(
            f"{path}: expected UTF-8 text, found the byte 0x{data[error.start]:02x} at position {error.start}; "
            "save it as UTF-8"
        ) from error


def make_profile(identity: str, data: dict[str, Any], where: str) -> Profile:
    """Make a profile of a parsed file, as `parse_profile` of its text. Raises ProfileError."""
    top = Table(where, "", data)
    # "heat" is in profiles that were written for earlier versions; nothing goes by it.
    top.only("name", "architecture", "source", "match", "cpu", "memory", "run", "heat", "power", "providers", "priors")
    match = _match(top.table("match", required=True))
    board = bool(match.compatible or match.model)
    clusters, isa = _cpu(top.table("cpu"), board)
    memory = top.table("memory").only("sizes_mb")
    run = top.table("run").only("threads", "spinning", "one_thread_lanes")
    priors = top.table("priors").only("storage_read_mb_per_s", "memory_gb_per_s", "latency_ms")
    return Profile(
        id=identity,
        name=top.text("name"),
        architecture=top.choice("architecture", _ARCHITECTURES),
        source=top.text("source"),
        match=match,
        clusters=clusters,
        isa=isa,
        memory_mb=_sizes(memory, board),
        providers=_providers(top),
        threads=run.whole("threads", 0, 1024, default=0),
        spinning=run.flag("spinning", default=False),
        one_thread_lanes=run.flag("one_thread_lanes", default=False),
        power_modes=top.table("power").only("modes").texts("modes"),
        storage_read_mb_per_s=_priors(priors.table("storage_read_mb_per_s").only(*_STORAGE)),
        memory_gb_per_s=_prior(priors.table("memory_gb_per_s")) if "memory_gb_per_s" in priors else None,
        latency_ms=_priors(priors.table("latency_ms")),
    )


def _match(table: Table) -> Match:
    table.only("compatible", "model", "cpu", "isa", "isa_any", "isa_not")
    return Match(
        compatible=table.texts("compatible"),
        model=table.texts("model"),
        cpu=table.texts("cpu"),
        isa=_isa(table, "isa"),
        isa_any=_isa(table, "isa_any"),
        isa_not=_isa(table, "isa_not"),
    )


def _isa(table: Table, key: str) -> tuple[str, ...]:
    """Names as the kernel writes them: a misspelt one would match no processor, in silence."""
    names = table.texts(key)
    for index, name in enumerate(names):
        if not _INSTRUCTIONS.fullmatch(name):
            table.wrong(
                f"{key}[{index}]",
                'an instruction set as /proc/cpuinfo names it ("asimddp", "avx512_vnni")',
                name,
                "write one name in small letters for each",
            )
    return names


def _cpu(table: Table, board: bool) -> tuple[tuple[Cluster, ...], tuple[str, ...]]:
    table.only("clusters", "isa")
    clusters = tuple(
        Cluster(
            core=cluster.only("core", "count", "mhz").text("core"),
            count=cluster.whole("count", 1, 1024),
            mhz=cluster.whole("mhz", 50, 10_000),
        )
        for cluster in table.tables("clusters")
    )
    if board and not clusters:
        table.missing("clusters", 'of a board, such as [[cpu.clusters]] core = "cortex-a72" count = 4 mhz = 1800')
    if any(one.mhz < other.mhz for one, other in itertools.pairwise(clusters)):
        table.wrong("clusters", "the big cores first", [cluster.mhz for cluster in clusters], "sort them by mhz")
    return clusters, _isa(table, "isa")


def _sizes(table: Table, board: bool) -> tuple[int, ...]:
    if board and "sizes_mb" not in table:
        table.missing("sizes_mb", "of a board, such as sizes_mb = [2048, 4096]")
    sizes = table.wholes("sizes_mb", 16, 4 << 20)
    if list(sizes) != sorted(set(sizes)):
        table.wrong("sizes_mb", "each size once, ascending", list(sizes), "sort them")
    return sizes


def _providers(top: Table) -> tuple[ProviderChoice, ...]:
    choices: dict[str, ProviderChoice] = {}
    for table in top.tables("providers"):
        name = table.only("name", "options").text("name")
        if not _PROVIDER.fullmatch(name):
            expected = "an execution provider by its full name, such as CUDAExecutionProvider"
            table.wrong("name", expected, name, "onnxruntime.get_available_providers() lists yours")
        if name == _CPU:
            table.wrong("name", "a provider beside the CPU's", name, "leave it out, it always stands behind the others")
        if name in choices:
            table.wrong("name", "each provider once", name, "merge the two")
        choices[name] = ProviderChoice(name, _options(table.table("options")))
    return tuple(choices.values())


def _options(table: Table) -> Mapping[str, str]:
    options = {key: table.text(key, empty=True) for key in table}
    for key, value in options.items():
        if strange := [found for found in _PLACEHOLDER.findall(value) if found != "{cache}"]:
            table.wrong(key, "no placeholder but {cache}", strange[0], "write the value itself")
    return options


def _priors(table: Table) -> Mapping[str, Prior]:
    return {key: _prior(table.table(key)) for key in table}


def _prior(table: Table) -> Prior:
    table.only("value", "source")
    value = table.number("value", 0, 1e9)
    if value == 0:
        table.wrong("value", "a number above 0", value, "leave the prior out if nobody measured it")
    return Prior(value, table.text("source"))
