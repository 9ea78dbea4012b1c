"""`--as BOARD`: the arithmetic of its limits, what they are called, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_devices import known_profiles
from edge_devices.profile import Cluster, Match, Prior, Profile
from edge_runtime.errors import UsageError
from edge_runtime.files.folders import cache_root
from edge_tools.bench.cases import Case
from edge_tools.bench.emulate import arithmetic, emulate, find_board
from edge_tools.bench.preparing import boards_cache
from edge_tools.bench.request import caps_of, cases_of, limits_of

MIB = 1 << 20
PLENTY = 1 << 40
BOARD = Profile(
    id="a-board",
    name="A Board",
    architecture="aarch64",
    source="its data sheet",
    match=Match(),
    clusters=(Cluster("cortex-a76", 2, 2400), Cluster("cortex-a55", 2, 1800)),
    isa=("asimd",),
    memory_mb=(512, 1024, 4096),
    storage_read_mb_per_s={"nvme": Prior(800, "one paper"), "sd": Prior(43, "another")},
)
PROFILES = {"a-board": BOARD, "raspberry-pi-4b": BOARD}


def test_the_smallest_memory_and_the_slowest_storage_are_taken_where_nothing_is_said() -> None:
    made = emulate(*find_board("a-board", PROFILES), 8, PLENTY, "x86_64")
    assert (made.memory_bytes, made.limit_bytes) == (512 * MIB, 256 * MIB)
    assert (made.storage, made.storage_bytes_per_s) == ("sd", 43_000_000)
    assert (made.cores, made.board_cores) == (4, 4)
    assert made.label == "emulated limits, x86 arithmetic"
    assert any("not the A Board's (ARM)" in note for note in made.notes)


def test_memory_and_storage_can_be_named_in_any_order() -> None:
    for text in ("a-board:4GB:nvme", "A-Board:nvme:4096MiB"):
        made = emulate(*find_board(text, PROFILES), 8, PLENTY, "x86_64")
        assert (made.memory_bytes, made.limit_bytes) == (4096 * MIB, (4096 - 256) * MIB)
        assert (made.storage, made.storage_bytes_per_s) == ("nvme", 800_000_000)
        assert made.memory == "4 GiB"


def test_fewer_cores_than_the_boards_are_part_of_the_label() -> None:
    made = emulate(*find_board("a-board", PROFILES), 2, PLENTY, "aarch64")
    assert made.cores == 2
    assert made.label == "emulated limits, ARM arithmetic, on 2 of 4 cores"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raspbery-pi4", r"did you mean raspberry-pi-4b\?"),
        ("zzz", "no board of that name; `edge-bench --devices` lists them all"),
        ("a-board:3GB", "not sold with that much memory; it is sold with 0.5GB, 1GB, 4GB"),
        ("a-board:floppy", "storage: nvme, sd"),
        ("a-board:sd:sd", "found 'sd'"),
        ("a-board:4GBB", "expected a size"),
    ],
)
def test_a_board_that_nobody_sells_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        emulate(*find_board(text, PROFILES), 4, PLENTY, "x86_64")


def test_a_board_with_more_memory_than_this_machine_is_refused() -> None:
    with pytest.raises(UsageError, match=r"more than this machine's 1\.0 GB; choose less memory"):
        emulate(BOARD, "4GB", "", 4, 10**9, "x86_64")


def test_a_generic_profile_is_no_board() -> None:
    generic = [profile for profile in known_profiles().values() if not profile.memory_mb]
    assert generic
    for profile in generic:
        with pytest.raises(UsageError, match="names no memory size"):
            emulate(profile, "", "", 4, PLENTY, "x86_64")


@given(st.sampled_from([profile for profile in known_profiles().values() if profile.memory_mb]), st.integers(1, 64))
def test_every_board_leaves_a_process_at_least_half_and_never_all(profile: Profile, cores: int) -> None:
    for size in profile.memory_mb:
        made = emulate(profile, f"{size}MiB", "", cores, PLENTY, "x86_64")
        assert made.memory_bytes / 2 <= made.limit_bytes < made.memory_bytes == size * MIB
        assert made.cores == min(cores, profile.cores)
        assert made.label.startswith("emulated limits, x86 arithmetic")


def test_limits_are_the_boards_or_less() -> None:
    made = emulate(BOARD, "1GB", "", 4, PLENTY, "x86_64")
    assert limits_of("none", made) == (768 * MIB,)
    assert limits_of("96MB,none", made) == (96_000_000, 768 * MIB)
    with pytest.raises(UsageError, match=r"A Board with 1 GiB leaves a process 805\.3 MB"):
        limits_of("900MB", made)


def test_caps_are_the_boards_where_no_flag_says_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)))
    assert caps_of(True, None, None, emulate(BOARD, "", "", 8, PLENTY, "x86_64")) == caps_of(True, 43, 4)
    made = emulate(BOARD, "", "", 1.5, PLENTY, "x86_64", read_bytes_per_s=20_000_000)
    assert caps_of(True, 20, 1.5, made) == caps_of(True, 20, 1.5)
    assert made.label.endswith("on 1.5 of 4 cores")
    assert "storage at 20 MB/s: --storage-mb-per-s" in made.sources


def test_what_is_prepared_for_a_board_is_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    own = cache_root()
    with boards_cache(emulate(BOARD, "", "", 2, PLENTY, "x86_64")):
        assert cache_root() == own.parent / "emulated/a-board-43000000-2/edgeline/prepared"
        assert cache_root().is_dir()
    assert cache_root() == own


def test_plain_onnxruntime_gets_every_limit_where_the_kernel_holds_it() -> None:
    models = [Case("edgeline", "a.edge", None, 1), Case("onnxruntime", "a.onnx", None, 1)]
    limits = (96_000_000, None)
    assert len(cases_of(models, limits, (1, 2), confined=True)) == 8
    free = cases_of(models, limits, (1, 2), confined=False)
    assert [case.memory_limit for case in free if case.engine == "onnxruntime"] == [None, None]


@pytest.mark.parametrize(
    ("name", "family"), [("x86_64", "x86"), ("AMD64", "x86"), ("aarch64", "ARM"), ("riscv64", "riscv64")]
)
def test_arithmetic_is_called_by_its_family(name: str, family: str) -> None:
    assert arithmetic(name) == family
