"""The profiles that come with Edgeline hold together: cores, instruction sets, providers and priors that can be so."""

from itertools import combinations
from pathlib import Path

import pytest

import edge_devices
from edge_devices.profile_toml import read_profile

FILES = sorted(Path(edge_devices.__file__).parent.glob("*.toml"))
PROFILES = [read_profile(path) for path in FILES]
BOARDS = [profile for profile in PROFILES if profile.match.compatible or profile.match.model]
JETSONS = [profile for profile in PROFILES if profile.id.startswith("jetson-")]
# Facts once more, from the data sheets: cores in all, the lowest and the highest memory in MB.
FACTS = {
    "jetson-nano": (4, 2048, 4096),
    "jetson-xavier-nx": (6, 8192, 16384),
    "jetson-orin-nano": (6, 4096, 8192),
    "jetson-orin-nx": (8, 8192, 16384),
    "jetson-agx-orin": (12, 32768, 65536),
    "raspberry-pi-3b-plus": (4, 1024, 1024),
    "raspberry-pi-4b": (4, 1024, 8192),
    "raspberry-pi-5": (4, 1024, 16384),
    "raspberry-pi-zero-2-w": (4, 512, 512),
    "intel-n100": (4, 4096, 16384),
}
GENERIC = {"x86-64", "x86-64-vnni", "arm64"}
X86, ARM = ("avx", "fma", "f16c", "amx", "sse"), ("asimd", "fphp", "aes", "crc32", "i8mm", "sve", "bf16")


def each(profiles):
    return pytest.mark.parametrize("profile", profiles, ids=lambda profile: profile.id)


def test_every_board_that_was_promised_is_there():
    assert {profile.id for profile in PROFILES} == {*FACTS, *GENERIC}


@each([profile for profile in PROFILES if profile.id in FACTS])
def test_cores_and_memory_are_the_data_sheets(profile):
    assert (profile.cores, profile.memory_mb[0], profile.memory_mb[-1]) == FACTS[profile.id]


@each(PROFILES)
def test_instruction_sets_belong_to_the_architecture(profile):
    names = (*profile.isa, *profile.match.isa, *profile.match.isa_any, *profile.match.isa_not)
    known = X86 if profile.architecture == "x86_64" else ARM
    assert [name for name in names if not name.startswith(known)] == []
    assert profile.architecture != "aarch64" or "asimd" in profile.isa


@each([profile for profile in PROFILES if profile.clusters])
def test_dot_products_are_where_the_core_has_them(profile):
    cores = {cluster.core for cluster in profile.clusters}
    assert ("asimddp" in profile.isa) == bool(cores & {"cortex-a76", "cortex-a78ae"})
    assert ("avx_vnni" in profile.isa) == (cores == {"gracemont"})
    assert "i8mm" not in profile.isa  # none of these boards has it


@each(PROFILES)
def test_every_prior_says_where_it_is_from(profile):
    priors = [*profile.storage_read_mb_per_s.values(), *profile.latency_ms.values()]
    priors += [profile.memory_gb_per_s] if profile.memory_gb_per_s else []
    assert all(len(prior.source) > 10 for prior in priors)
    assert profile.memory_gb_per_s is None or 1 < profile.memory_gb_per_s.value < 1000
    assert all(prior.value < 10_000 for prior in priors)


def test_no_two_profiles_answer_to_the_same_board():
    for one, other in combinations(BOARDS, 2):
        assert not set(one.match.compatible) & set(other.match.compatible)
        for text in one.match.model:
            assert not any(text in also or also in text for also in other.match.model), (one.id, other.id)


def test_the_generic_x86_profiles_share_no_processor():
    by_id = {profile.id: profile.match for profile in PROFILES}
    assert by_id["x86-64"].isa_not == by_id["x86-64-vnni"].isa_any


@each(JETSONS)
def test_a_jetson_tries_tensorrt_then_cuda_and_keeps_its_engines(profile):
    assert [choice.name for choice in profile.providers] == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
    options = profile.providers[0].options
    assert (options["trt_engine_cache_enable"], options["trt_engine_cache_path"]) == ("1", "{cache}")
    assert options["trt_fp16_enable"] == "1"


def test_the_jetson_nano_alone_has_no_int8_on_its_gpu():
    without = {profile.id for profile in JETSONS if "trt_int8_enable" not in profile.providers[0].options}
    assert without == {"jetson-nano"}


@each(PROFILES)
def test_a_provider_fits_the_architecture(profile):
    names = {choice.name.removesuffix("ExecutionProvider") for choice in profile.providers}
    assert names <= (
        {"OpenVINO"} if profile.architecture == "x86_64" else {"Tensorrt", "CUDA", "ACL", "Xnnpack", "CoreML"}
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_newcomer_is_told_where_the_format_is(path):
    assert "PROFILES.md" in path.read_text().splitlines()[0]


def test_the_example_of_the_documentation_is_a_profile(tmp_path):
    text = (Path(edge_devices.__file__).parent / "PROFILES.md").read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    (tmp_path / "my-board.toml").write_text(example)
    assert read_profile(tmp_path / "my-board.toml").name == "My board"
