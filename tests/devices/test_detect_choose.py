"""Which profile a machine goes by: the pure part of detection, on profiles of this test's own and on the real ones."""

import pytest

from edge_devices import Machine, Match, Profile, ProfileError, choose, known_profiles


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return known_profiles(tmp_path_factory.mktemp("config"))


def profile(name, match=None, architecture="aarch64", file=""):
    return Profile(name, name, architecture, "test", match or Match(), (), (), (), file=file)


def named(*profiles):
    return {one.id: one for one in profiles}


def orin(compatible, online=6):
    return Machine("aarch64", "some carrier", (*compatible, "nvidia,tegra234"), online=tuple(range(online)))


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("p3767-0000", "jetson-orin-nx"),
        ("p3767-0001", "jetson-orin-nx"),
        ("p3767-0003", "jetson-orin-nano"),
        ("p3767-0004", "jetson-orin-nano"),
        ("p3767-0005", "jetson-orin-nano"),
        ("p3767-0005-super", "jetson-orin-nano"),
        ("p3701-0000", "jetson-agx-orin"),
        ("p3701-0005", "jetson-agx-orin"),
    ],
)
def test_a_jetsons_module_is_known_alone_and_on_any_carrier(real, module, expected):
    assert choose(orin([f"nvidia,{module}"]), real)[0].id == expected
    assert choose(orin([f"nvidia,p9999-0000+{module}"]), real)[0].id == expected


@pytest.mark.parametrize(
    ("cores", "expected"),
    [(4, "jetson-orin-nano"), (6, "jetson-orin-nano"), (8, "jetson-orin-nx"), (12, "jetson-agx-orin")],
)
def test_an_orin_of_an_unknown_module_goes_by_its_cores(real, cores, expected):
    found, how, why = choose(orin([], cores), real)
    assert (found.id, how) == (expected, "probe")
    assert "is no board that Edgeline knows" in why


@pytest.mark.parametrize(
    ("compatible", "board", "expected"),
    [
        (("raspberrypi,400", "brcm,bcm2711"), "Raspberry Pi 400 Rev 1.0", "raspberry-pi-4b"),
        (("raspberrypi,4-compute-module", "brcm,bcm2711"), "Raspberry Pi Compute Module 4 Rev 1.0", "raspberry-pi-4b"),
        (("raspberrypi,5-compute-module", "brcm,bcm2712"), "Raspberry Pi Compute Module 5 Rev 1.0", "raspberry-pi-5"),
        (("raspberrypi,3-model-a-plus", "brcm,bcm2837"), "Raspberry Pi 3 Model A Plus", "raspberry-pi-3b-plus"),
    ],
)
def test_a_near_relative_is_called_one(real, compatible, board, expected):
    found, how, why = choose(Machine("aarch64", board, compatible), real)
    assert (found.id, how) == (expected, "probe")
    assert why.startswith(board)
    assert "near relative" in why


@pytest.mark.parametrize(
    ("chip", "expected"),
    [
        ("brcm,bcm2837", "raspberry-pi-3b-plus"),
        ("brcm,bcm2711", "raspberry-pi-4b"),
        ("brcm,bcm2712", "raspberry-pi-5"),
        ("nvidia,tegra210", "jetson-nano"),
        ("nvidia,tegra194", "jetson-xavier-nx"),
    ],
)
def test_an_unknown_board_goes_by_the_board_of_its_processor(real, chip, expected):
    found, how, why = choose(Machine("aarch64", "Somebody's board", ("somebody,board", chip)), real)
    assert (found.id, how) == (expected, "probe")
    assert chip in why


@pytest.mark.parametrize(
    ("board", "expected"),
    [
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "raspberry-pi-3b-plus"),
        ("Raspberry Pi Zero 2 W Rev 1.0", "raspberry-pi-zero-2-w"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "jetson-orin-nano"),
        ("NVIDIA Jetson Nano Developer Kit", "jetson-nano"),
    ],
)
def test_a_model_is_enough_where_there_is_no_list(real, board, expected):
    assert choose(Machine("aarch64", board), real)[0].id == expected


@pytest.mark.parametrize(
    ("isa", "cpu", "expected", "how"),
    [
        ({"avx2", "fma", "f16c", "avx512_vnni"}, "AMD EPYC", "x86-64-vnni", "probe"),
        ({"avx2", "fma", "f16c", "avx_vnni"}, "Intel(R) Core(TM) Ultra", "x86-64-vnni", "probe"),
        ({"avx2", "fma", "f16c", "avx_vnni"}, "Intel(R) N100", "intel-n100", "probe"),
        ({"avx2", "fma", "f16c"}, "Intel(R) Core(TM) i5-8250U", "x86-64", "probe"),
        (set(), "", "x86-64", "default"),
    ],
)
def test_an_x86_goes_by_its_name_and_its_instruction_sets(real, isa, cpu, expected, how):
    assert choose(Machine("x86_64", cpu=cpu, isa=frozenset(isa)), real)[:2] == (real[expected], how)


def test_the_most_exact_name_of_the_device_tree_counts():
    profiles = named(profile("chip", Match(("maker,chip",))), profile("board", Match(("maker,board",))))
    assert choose(Machine("aarch64", "x", ("maker,board", "maker,chip")), profiles)[0].id == "board"


def test_a_users_own_profile_wins_over_a_shipped_one():
    profiles = named(
        profile("a", Match(("maker,board",))), profile("b", Match(("maker,board",)), file="/home/me/b.toml")
    )
    assert choose(Machine("aarch64", "x", ("maker,board",)), profiles)[0].id == "b"


def test_a_default_is_of_the_machines_architecture():
    profiles = named(profile("arm"), profile("x86", architecture="x86_64"))
    for architecture, expected in (("aarch64", "arm"), ("x86_64", "x86"), ("riscv64", "plain")):
        found, how, why = choose(Machine(architecture), profiles)
        assert (found.id, how) == (expected, "default")
        assert architecture in why


def test_a_profile_that_needs_what_the_processor_lacks_is_not_taken():
    profiles = named(profile("new", Match(isa=("i8mm",))), profile("plain-arm"))
    assert choose(Machine("aarch64", isa=frozenset({"asimd"})), profiles)[0].id == "plain-arm"
    assert choose(Machine("aarch64", isa=frozenset({"asimd", "i8mm"})), profiles)[0].id == "new"


def test_an_override_that_nobody_has_is_an_error_with_what_is_near_it(real):
    with pytest.raises(ProfileError, match=r"there is no device profile 'raspbery-pi-5' .*raspberry-pi-5"):
        choose(Machine("aarch64"), real, "raspbery-pi-5")
    assert choose(Machine("x86_64"), real, "jetson-nano")[:2] == (real["jetson-nano"], "override")
