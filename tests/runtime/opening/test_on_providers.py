"""Opening a bundle on providers: as measured, else the first that loads, else the CPU; never silently."""

import numpy as np
import pytest
from provider_fakes import install
from tiny_bundle import make_bundle
from tiny_models import samples

from edge_devices.profile import ProviderChoice
from edge_runtime.blocks.prepared import read_json, write_json
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import EngineError, ModelError, UsageError
from edge_runtime.files.folders import cache_root
from edge_runtime.opening import on_providers as opened
from edge_runtime.opening.choice import open_runner
from edge_runtime.opening.options import OpenOptions, check_options
from edge_runtime.ort.providers import load
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.session import SessionOptions
from edge_runtime.prepare.cache import PreparedCache
from edge_runtime.prepare.make import prepare_in
from edge_runtime.prepare.provider_times import AssignedBlocks, Assignment, MeasuredProviders, ProviderTimes
from edge_runtime.prepare.request import ProvidersRequest, WantedProvider
from edge_runtime.prepare.request import call as request_call

XNNPACK, OPENVINO, TENSORRT = (f"{name}ExecutionProvider" for name in ("Xnnpack", "OpenVINO", "Tensorrt"))
PROFILE = (ProviderChoice(XNNPACK), ProviderChoice(OPENVINO))
FEEDS = {"images": samples(2)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("opened"))


@pytest.fixture
def bundle(made, tmp_path, monkeypatch):
    """The bundle; a cache of its own that is empty, and no measuring process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(opened, "call", unwanted)
    return made


@pytest.fixture
def said(monkeypatch):
    """What was reported."""
    lines = []
    monkeypatch.setattr(load._LOG, "warning", lambda _format, line: lines.append(line))
    return lines


def unwanted(*_args):
    raise AssertionError("a measuring process was started")


def opened_on(bundle, device="auto", require="", prepare=False, cache=True, progress=None, profile=PROFILE):
    session = SessionOptions(device, 1, providers=profile, require_provider=require)
    options = OpenOptions(session, use_cache=cache, prepare=prepare)
    opened = open_runner(bundle, options, progress)
    try:
        assert np.isfinite(opened.runner.run(FEEDS)["logits"]).all()
        return opened.runner.providers
    finally:
        opened.close()


def measures(monkeypatch, *candidates, refused=(), wrong=()):
    """Let the measuring process find this; returns the requests it gets."""
    requests = []

    def call(_module, request, tell):
        tell("measuring", 0, 1)
        requests.append(request)
        times = tuple(ProviderTimes(one.name, None, (), 0.0, "".join(refused), wrong) for one in request.providers)
        write_json(MeasuredProviders(1, times, candidates), opened.Path(request.target))

    monkeypatch.setattr(opened, "call", call)
    monkeypatch.setattr(opened, "prepare_in", emptied)
    return requests


def emptied(cache, bundle, *_args, **_options):
    """Instead of preparing: the folder, empty."""
    key = opened_key(bundle)
    if cache.use(key) is None:
        with cache.new(key):
            pass
    return cache.use(key)


def opened_key(bundle):
    from edge_runtime.ort.process import import_onnxruntime
    from edge_runtime.prepare.key import prepared_key

    return prepared_key(bundle.sha256, import_onnxruntime())


def parts(bundle, *providers):
    count = len(read_bundle(bundle).manifest.blocks)
    ends = [*range(len(providers)), count]
    return tuple(AssignedBlocks(provider, ends[k], ends[k + 1]) for k, provider in enumerate(providers))


def test_what_was_not_measured_runs_whole_on_the_first_that_loads(bundle, monkeypatch, said):
    install(monkeypatch, Xnnpack="works", OpenVINO="works")
    assert opened_on(bundle) == (XNNPACK, CPU)
    assert said == []


def test_one_that_does_not_load_is_said_once_and_the_next_is_used(bundle, monkeypatch, said):
    install(monkeypatch, Xnnpack="fails", OpenVINO="works")
    for _ in range(2):
        assert opened_on(bundle) == (OPENVINO, CPU)
    assert said == ["Xnnpack does not load: XnnpackExecutionProvider cannot do this at all; the next provider is used"]


def test_one_that_loads_and_does_not_take_this_model_is_said_and_the_next_is_used(bundle, monkeypatch, said):
    install(monkeypatch, Xnnpack="refuses:model.onnx", OpenVINO="works")
    assert opened_on(bundle) == (OPENVINO, CPU)
    assert len(said) == 1
    assert said[0].startswith("Xnnpack is not used for tiny.edge: onnxruntime ")


def test_when_none_loads_the_cpu_runs(bundle, monkeypatch, said):
    install(monkeypatch, Xnnpack="fails", OpenVINO="fails")
    assert opened_on(bundle) == (CPU,)
    assert len(said) == 2


def test_the_cpu_alone_tries_nothing(bundle, monkeypatch):
    fake = install(monkeypatch, Xnnpack="works")
    assert opened_on(bundle, "cpu") == (CPU,)
    assert opened_on(bundle, require="cpu") == (CPU,)
    assert opened_on(bundle, profile=()) == (CPU,)
    assert fake.opened == []


def test_a_required_provider_that_does_not_load_is_fatal(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="works", OpenVINO="fails")
    with pytest.raises(UsageError, match="--require-provider openvino: OpenVINO does not load"):
        opened_on(bundle, require="openvino")


def test_a_required_provider_that_does_not_take_this_model_is_fatal(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="works", OpenVINO="refuses:model.onnx")
    with pytest.raises(ModelError, match="cannot do this at all"):
        opened_on(bundle, require="openvino")


def test_a_required_provider_that_answers_wrongly_is_fatal(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="works", OpenVINO="works")
    requests = measures(monkeypatch, refused="output 'logits' is 3 dB from FP32, at least 50 dB must be")
    with pytest.raises(ModelError, match=r"--require-provider openvino: OpenVINO cannot be used .* 3 dB from FP32"):
        opened_on(bundle, require="openvino", prepare=True)
    assert [one.name for one in requests[0].providers] == [OPENVINO]
    assert requests[0].insisted


def test_the_first_start_measures_and_the_next_takes_what_was_found(bundle, monkeypatch, said):
    install(monkeypatch, Xnnpack="works", OpenVINO="works")
    requests = measures(monkeypatch, Assignment(parts(bundle, OPENVINO), 1.0), Assignment(parts(bundle, CPU), 2.0))
    told = []
    assert opened_on(bundle, prepare=True, progress=lambda *step: told.append(step)) == (OPENVINO, CPU)
    assert told == [("measuring", 0, 1)]
    assert opened_on(bundle, prepare=True) == (OPENVINO, CPU)
    assert opened_on(bundle) == (OPENVINO, CPU)
    assert len(requests) == 1
    assert not requests[0].insisted
    assert said == []


def test_the_cpu_is_taken_where_it_was_measured_to_be_best(bundle, monkeypatch):
    fake = install(monkeypatch, Xnnpack="works", OpenVINO="works")
    measures(monkeypatch, Assignment(parts(bundle, CPU), 1.0), Assignment(parts(bundle, OPENVINO), 2.0))
    assert opened_on(bundle, prepare=True) == (CPU,)
    assert {name for name, _, _ in fake.opened} == {"bytes"}  # the tiny graph that shows what loads
    monkeypatch.setattr(load, "_FAILURES", {})
    fake.opened.clear()
    assert opened_on(bundle, prepare=True) == (CPU,)
    assert fake.opened == []  # what was measured needs no trying


def test_a_provider_that_loads_by_now_is_measured_too(bundle, monkeypatch, said):
    install(monkeypatch, Xnnpack="fails", OpenVINO="works")
    requests = measures(monkeypatch, Assignment(parts(bundle, OPENVINO), 1.0))
    for _ in range(2):
        assert opened_on(bundle, prepare=True) == (OPENVINO, CPU)
        monkeypatch.setattr(load, "_FAILURES", {})
    assert [[one.name for one in request.providers] for request in requests] == [[OPENVINO]]
    install(monkeypatch, Xnnpack="works", OpenVINO="works")
    assert opened_on(bundle) == (OPENVINO, CPU)
    assert len(requests) == 1
    opened_on(bundle, prepare=True)
    assert [one.name for one in requests[1].providers] == [XNNPACK, OPENVINO]


def test_a_mixed_placement_runs_in_segments(bundle, monkeypatch):
    fake = install(monkeypatch, Xnnpack="works", OpenVINO="works")
    measures(monkeypatch, Assignment(parts(bundle, CPU, OPENVINO), 1.0))
    assert opened_on(bundle, prepare=True) == (CPU, OPENVINO)
    assert fake.opened[-1][:2] == ("bytes", OPENVINO)


def test_a_placement_that_does_not_open_any_more_gives_way_to_the_next(bundle, monkeypatch, said):
    install(monkeypatch, Xnnpack="works", OpenVINO="refuses:model.onnx")
    measures(monkeypatch, Assignment(parts(bundle, OPENVINO), 1.0), Assignment(parts(bundle, XNNPACK), 2.0))
    assert opened_on(bundle, prepare=True) == (XNNPACK, CPU)
    assert said[-1].startswith("OpenVINO is not used for tiny.edge: ")


def test_wrong_answers_are_said_when_they_are_found(bundle, monkeypatch, said):
    install(monkeypatch, Xnnpack="works")
    measures(monkeypatch, Assignment(parts(bundle, CPU), 1.0), refused="it is wrong", wrong=("block-01.onnx: bad", "b"))
    assert opened_on(bundle, prepare=True, profile=PROFILE[:1]) == (CPU,)
    assert said == [
        "Xnnpack is not used for the whole of tiny.edge: it is wrong",
        "Xnnpack is not used for some blocks of tiny.edge: block-01.onnx: bad and 1 more",
    ]


def test_a_device_that_is_named_and_answers_wrongly_leaves_the_cpu_with_a_word(bundle, monkeypatch, said):
    install(monkeypatch, OpenVINO="works")
    measures(monkeypatch, refused="it is wrong")
    assert opened_on(bundle, "openvino", prepare=True) == (CPU,)
    assert said[-1] == "OpenVINO cannot be used for tiny.edge: it is wrong; the CPU is used"


def test_what_ends_the_measuring_process_is_not_tried_here_nor_measured_again(bundle, monkeypatch, said):
    fake = install(monkeypatch, Xnnpack="works")
    measures(monkeypatch)
    calls = []

    def crash(*_args):
        calls.append(1)
        raise EngineError("preparing the bundle ended with code -11")

    monkeypatch.setattr(opened, "call", crash)
    for _ in range(2):
        assert opened_on(bundle, prepare=True, profile=PROFILE[:1]) == (CPU,)
    assert len(calls) == 1
    assert said == ["tiny.edge could not be measured on Xnnpack: preparing the bundle ended with code -11"]
    with pytest.raises(ModelError, match=r"it could not be measured: .* code -11"):
        opened_on(bundle, prepare=True, profile=PROFILE[:1], require="xnnpack")
    assert {name for name, _, _ in fake.opened} == {"bytes"}


def test_other_options_are_measured_anew(bundle, monkeypatch):
    install(monkeypatch, Xnnpack="works")
    requests = measures(monkeypatch, Assignment(parts(bundle, XNNPACK), 1.0))
    opened_on(bundle, prepare=True, profile=(ProviderChoice(XNNPACK),))
    opened_on(bundle, prepare=True, profile=(ProviderChoice(XNNPACK, {"x": "1"}),))
    assert [one.options for request in requests for one in request.providers] == [
        {"intra_op_num_threads": "1"},
        {"intra_op_num_threads": "1", "x": "1"},
    ]


def test_tensorrt_keeps_engines_in_the_bundles_folder_and_tells_that_it_builds(bundle, monkeypatch):
    fake = install(monkeypatch, Tensorrt="works")
    told = []
    assert opened_on(bundle, "tensorrt", progress=lambda *step: told.append(step)) == (TENSORRT, CPU)
    options = fake.opened[-1][2]
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "1"
    engines = opened.Path(options["trt_engine_cache_path"])
    assert engines.is_dir()
    assert engines.parent.parent == cache_root()
    assert told[0] == ("Tensorrt builds its engine, which may take minutes", 0, 0)


def test_without_a_cache_tensorrt_writes_nothing(bundle, monkeypatch):
    fake = install(monkeypatch, Tensorrt="works")
    assert opened_on(bundle, "tensorrt", cache=False) == (TENSORRT, CPU)
    assert fake.opened[-1][2] == {}


def test_a_folder_with_engines_alone_is_prepared_like_any_other(bundle, monkeypatch):
    install(monkeypatch, Tensorrt="works")
    opened_on(bundle, "tensorrt")
    cache = PreparedCache(cache_root())
    folder = prepare_in(cache, read_bundle(bundle), 1, 1, None, None, blocks=False)
    assert (folder / "engines").is_dir()
    assert (folder / "whole.json").is_file()
    cache.close()


@pytest.mark.parametrize(("device", "require"), [("openvino", ""), ("auto", "openvino")])
def test_a_limit_and_a_provider_that_was_named_exclude_each_other(bundle, monkeypatch, device, require):
    install(monkeypatch, OpenVINO="works")
    options = OpenOptions(SessionOptions(device, 1, providers=PROFILE, require_provider=require), 1 << 30)
    with pytest.raises(UsageError, match="a memory limit is kept on the CPU only"):
        open_runner(bundle, options)


def test_a_limit_leaves_the_profiles_providers_in_main_memory_alone(monkeypatch):
    install(monkeypatch, Xnnpack="works", OpenVINO="works")
    session = SessionOptions("auto", 1, providers=PROFILE)
    assert check_options(OpenOptions(session, 2 << 30)) == (1, ())
    assert check_options(OpenOptions(session)) == (1, PROFILE)


def test_the_measuring_process_writes_what_it_found_and_tells_its_steps(bundle, tmp_path):
    target = tmp_path / "providers-0.json"
    absent = WantedProvider("ACLExecutionProvider", {})
    told = []
    request = ProvidersRequest(str(bundle), str(target), 1, 1, False, 1, False, (absent,))
    request_call("edge_runtime.prepare.providers_child", request, lambda *step: told.append(step))
    known = read_json(MeasuredProviders, target)
    assert [candidate.parts for candidate in known.candidates] == [parts(bundle, CPU)]
    assert known.providers[0].refused
    assert known.providers[1].whole_ms > 0
    assert told[0][0] == "ACL, the whole graph"
    assert [done for _, done, _ in told] == list(range(told[0][2]))
