"""A profile's file is read strictly: everything arrives, and whatever is wrong is one sentence that says where."""

import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_texts import WHOLE, changed

from edge_devices.profile import Cluster, Match, Prior, ProviderChoice
from edge_devices.profile_toml import ProfileError, make_profile, parse_profile, read_profile


def sentence(text):
    with pytest.raises(ProfileError) as caught:
        parse_profile("my-board", text, "my-board.toml")
    message = str(caught.value)
    assert message.startswith("my-board.toml: ")
    assert "\n" not in message
    return message


def test_every_key_of_a_file_arrives_in_the_profile(tmp_path):
    (tmp_path / "my-board.toml").write_text(WHOLE)
    profile = read_profile(tmp_path / "my-board.toml")
    assert (profile.id, profile.name, profile.architecture) == ("my-board", "My board", "aarch64")
    assert profile.match == Match(compatible=("vendor,my-board",), model=("My board",))
    assert profile.clusters == (Cluster("cortex-a76", 4, 2400), Cluster("cortex-a55", 2, 1800))
    assert profile.cores == 6
    assert profile.isa == ("asimd", "asimddp")
    assert profile.memory_mb == (4096, 8192)
    assert (profile.threads, profile.spinning, profile.one_thread_lanes) == (4, True, True)
    assert profile.power_modes == ("MAXN", "15W")
    assert profile.providers == (
        ProviderChoice(
            "TensorrtExecutionProvider", {"trt_fp16_enable": "1", "trt_engine_cache_path": "{cache}/engines"}
        ),
        ProviderChoice("CUDAExecutionProvider"),
    )
    assert profile.storage_read_mb_per_s == {"sd": Prior(40.0, "a card")}
    assert profile.memory_gb_per_s == Prior(17.1, "computed")
    assert profile.latency_ms == {"mobilenet_v2": Prior(10.5, "somebody")}


def test_an_older_profile_that_says_where_clocks_fall_is_still_read():
    assert parse_profile("my-board", WHOLE + "\n[heat]\nthrottle_c = 80\n", "f") == parse_profile(
        "my-board", WHOLE, "f"
    )


def test_a_generic_profile_needs_neither_cores_nor_memory():
    text = 'name = "any"\narchitecture = "x86_64"\nsource = "none"\n[match]\nisa_any = ["avx_vnni"]\n'
    profile = parse_profile("any", text, "any.toml")
    assert (profile.clusters, profile.memory_mb, profile.providers) == ((), (), ())
    assert profile.match.isa_any == ("avx_vnni",)
    assert profile.memory_gb_per_s is None


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ("[cpu]", "[cup]", "cup", "unknown key"),
        ("sizes_mb", "size_mb", "memory: unknown key 'size_mb'", "did you mean 'sizes_mb'?"),
        ("count = 4", "counts = 4", "cpu.clusters[0]: unknown key", "did you mean 'count'?"),
        ("sd = {", "ssdd = {", "priors.storage_read_mb_per_s", "'sd'"),
        ('source = "a card"', 'sauce = "a card"', "priors.storage_read_mb_per_s.sd", "did you mean 'source'"),
        ("[providers.options]", "[providers.option]", "providers[0]", "did you mean 'options'?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_known_one_near_it(old, new, where, says):
    message = sentence(changed(old, new))
    assert where in message
    assert says in message
    assert "expected only" in message


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('name = "My board"\n', "", "name"),
        ('architecture = "aarch64"\n', "", "architecture"),
        ('source = "https://example.com/board"\n', "", "source"),
        ('[match]\ncompatible = ["vendor,my-board"]\nmodel = ["My board"]\n', "", "match"),
        ("mhz = 2400\n", "", "cpu.clusters[0].mhz"),
        ("sizes_mb = [4096, 8192]", "", "memory.sizes_mb"),
        ('name = "CUDAExecutionProvider"\n', "", "providers[1].name"),
        ("value = 40, ", "", "priors.storage_read_mb_per_s.sd.value"),
        ('source = "computed"\n', "", "priors.memory_gb_per_s.source"),
    ],
)
def test_a_missing_key_is_named_with_what_to_add(old, new, where):
    message = sentence(changed(old, new))
    assert f"{where} is missing; add it" in message


def test_a_board_without_cores_is_refused():
    start, end = WHOLE.index("[[cpu.clusters]]"), WHOLE.index("[memory]")
    assert "cpu.clusters is missing" in sentence(WHOLE[:start] + WHOLE[end:])


@pytest.mark.parametrize(
    ("old", "new", "where", "expected"),
    [
        ("count = 4", 'count = "4"', "cpu.clusters[0].count", "a whole number from 1 to 1024"),
        ("count = 4", "count = true", "cpu.clusters[0].count", "a whole number"),
        ("count = 4", "count = 0", "cpu.clusters[0].count", "from 1 to 1024"),
        ("mhz = 2400", "mhz = 2.4", "cpu.clusters[0].mhz", "from 50 to 10000"),
        ("mhz = 1800", "mhz = 2600", "cpu.clusters", "the big cores first"),
        ("sizes_mb = [4096, 8192]", "sizes_mb = [8192, 4096]", "memory.sizes_mb", "ascending"),
        ("sizes_mb = [4096, 8192]", "sizes_mb = [4096, 4096]", "memory.sizes_mb", "each size once"),
        ("sizes_mb = [4096, 8192]", "sizes_mb = 4096", "memory.sizes_mb", "a list"),
        ("sizes_mb = [4096, 8192]", "sizes_mb = [4096, 2]", "memory.sizes_mb[1]", "a whole number"),
        ("threads = 4", "threads = -1", "run.threads", "from 0 to 1024"),
        ("spinning = true", 'spinning = "yes"', "run.spinning", "true or false"),
        ("one_thread_lanes = true", "one_thread_lanes = 1", "run.one_thread_lanes", "true or false"),
        ("value = 40", "value = nan", "priors.storage_read_mb_per_s.sd.value", "a number"),
        ("value = 40", "value = 1" + "0" * 400, "priors.storage_read_mb_per_s.sd.value", "a number"),
        ("value = 40", "value = -1", "priors.storage_read_mb_per_s.sd.value", "a number"),
        ("value = 40", "value = 0", "priors.storage_read_mb_per_s.sd.value", "a number above 0"),
        ("value = 17.1", "value = inf", "priors.memory_gb_per_s.value", "a number"),
        ('"aarch64"', '"arch64"', "architecture", "one of aarch64, armv7l, x86_64"),
        ('"aarch64"', "64", "architecture", "one of"),
        ('name = "My board"', 'name = " "', "name", "a text with something in it"),
        ('name = "My board"', r'name = "My\u001b[2Jboard"', "name", "printable"),
        ('name = "My board"', f'name = "{"x" * 501}"', "name", "at most 500"),
        ('["vendor,my-board"]', "[1]", "match.compatible[0]", "a text"),
        ('["vendor,my-board"]', '["a", "a"]', "match.compatible", "each text once"),
        ('["asimd", "asimddp"]', '["asimd asimddp"]', "cpu.isa[0]", "as /proc/cpuinfo names it"),
        ('"CUDAExecutionProvider"', '"CUDA"', "providers[1].name", "by its full name"),
        ('"CUDAExecutionProvider"', '"CPUExecutionProvider"', "providers[1].name", "beside the CPU's"),
        ('"CUDAExecutionProvider"', '"TensorrtExecutionProvider"', "providers[1].name", "each provider once"),
        ('"1"', "1", "providers[0].options.trt_fp16_enable", "a text"),
        ("{cache}", "{home}", "providers[0].options.trt_engine_cache_path", "no placeholder but {cache}"),
        ('{ value = 40, source = "a card" }', "40", "priors.storage_read_mb_per_s.sd", "a table"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(old, new, where, expected):
    message = sentence(changed(old, new))
    assert f"{where}: expected " in message
    assert expected in message
    assert "found" in message


def test_an_unprintable_key_of_the_author_is_refused():
    assert "expected a printable key" in sentence(changed("mobilenet_v2 =", r'"a\u001bb" ='))


@pytest.mark.parametrize(
    "text",
    [
        'name = "unfinished',
        "name = 1\nname = 2",
        "[cpu]\n[cpu]",
        "x = " + "9" * 5000,
        "x = " + "[" * 5000 + "]" * 5000,
        "x = 1979-13-40",
    ],
)
def test_what_is_not_toml_is_refused_in_one_sentence(text):
    assert "not valid TOML" in sentence(text) or "nested too deeply" in sentence(text)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    (tmp_path / "big.toml").write_text("#" * (65 << 10))
    with pytest.raises(ProfileError, match="at most 64 KB, found 65 KB"):
        read_profile(tmp_path / "big.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "bad.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ProfileError, match="expected UTF-8 text, found the byte 0xff at position 8"):
        read_profile(tmp_path / "bad.toml")


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    for name in ("pipe.toml", "folder.toml"):
        with pytest.raises(ProfileError, match="expected a TOML file, found something else"):
            read_profile(tmp_path / name)
    with pytest.raises(ProfileError, match=r"missing\.toml: cannot be read: No such file"):
        read_profile(tmp_path / "missing.toml")


@pytest.mark.parametrize("name", ["My-Board.toml", "my board.toml", "-a.toml", "a--b.toml", "bö.toml", "my_board.toml"])
def test_a_file_whose_name_is_no_id_is_refused(tmp_path, name):
    (tmp_path / name).write_text(WHOLE)
    with pytest.raises(ProfileError, match="a profile's id is its file's name"):
        read_profile(tmp_path / name)


OPTIONAL = {"cpu", "memory", "run", "power", "providers", "priors"}
KEYS = st.sampled_from(
    [
        "architecture",
        "clusters",
        "compatible",
        "core",
        "count",
        "isa",
        "isa_any",
        "latency_ms",
        "match",
        "memory_gb_per_s",
        "mhz",
        "modes",
        "name",
        "one_thread_lanes",
        "options",
        "sd",
        "sizes_mb",
        "source",
        "spinning",
        "storage_read_mb_per_s",
        "threads",
        "value",
        *sorted(OPTIONAL),
    ]
) | st.text(max_size=3)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.dates()
    | st.sampled_from(["aarch64", "asimd", "CUDAExecutionProvider", "{cache}"])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


def outcome(data):
    """Return the profile, or the sentence why there is none; any other exception passes."""
    try:
        return make_profile("any", data, "any.toml")
    except ProfileError as error:
        return str(error)


@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_any_parsed_file_is_a_profile_or_a_profile_error(data):
    whole = {"name": "n", "architecture": "x86_64", "source": "s", "match": {}}
    for table in (data, {**whole, **{key: value for key, value in data.items() if key in OPTIONAL}}):
        found = outcome(table)
        assert getattr(found, "id", None) == "any" or (found.startswith("any.toml: ") and found.isprintable())


@given(st.text(alphabet=string.printable + "é\x00", max_size=60))
def test_any_text_is_a_profile_or_a_profile_error(text):
    with pytest.raises(ProfileError):  # too short for a whole one
        parse_profile("any", text, "any.toml")
