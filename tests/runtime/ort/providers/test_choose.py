"""Which providers are tried, in which order, with which options."""

from pathlib import Path

import pytest

from edge_devices.profile import ProviderChoice
from edge_runtime.errors import UsageError
from edge_runtime.ort.providers.choose import (
    CPU,
    DEVICES,
    choose,
    filled,
    gpu_of,
    insisted,
    native_providers,
    provider_named,
    short_name,
)

TRT, CUDA, OPENVINO = "TensorrtExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider"
XNNPACK, ACL, COREML = "XnnpackExecutionProvider", "ACLExecutionProvider", "CoreMLExecutionProvider"
EVERY = [TRT, CUDA, OPENVINO, XNNPACK, ACL, COREML, CPU]
PROFILE = (ProviderChoice(OPENVINO, {"device_type": "GPU"}), ProviderChoice(CUDA), ProviderChoice(CPU))


def names(choices):
    return [choice.name for choice in choices]


def test_the_profiles_order_is_kept():
    assert names(choose("auto", PROFILE, "", EVERY)) == [OPENVINO, CUDA]


def test_what_a_profile_lists_behind_the_cpu_is_not_tried():
    assert choose("auto", (ProviderChoice(CPU), ProviderChoice(XNNPACK)), "", EVERY) == ()


def test_the_first_of_each_name_counts():
    twice = (PROFILE[0], ProviderChoice(OPENVINO, {"device_type": "CPU"}), PROFILE[1])
    assert choose("auto", twice, "", EVERY) == PROFILE[:2]
    assert choose("openvino", twice, "", EVERY) == PROFILE[:1]


def test_what_this_onnxruntime_was_not_built_with_is_left_out():
    assert names(choose("auto", PROFILE, "", [CUDA, CPU])) == [CUDA]
    assert choose("auto", PROFILE, "", [CPU]) == ()


def test_a_device_that_is_named_wins_over_the_profile_and_takes_its_options():
    assert names(choose("tensorrt", PROFILE, "", EVERY)) == [TRT, CUDA]
    assert choose("openvino", PROFILE, "", EVERY) == (PROFILE[0],)
    assert choose("cpu", PROFILE, "", EVERY) == ()
    assert choose("1", PROFILE, "", EVERY) == (ProviderChoice(CUDA, {"device_id": "1"}),)


def test_without_a_profile_auto_is_the_gpu():
    assert names(choose("auto", (), "", EVERY)) == [TRT, CUDA]


@pytest.mark.parametrize("device", [name for name in DEVICES if name not in ("auto", "cpu")])
def test_a_device_that_is_not_there_is_named_with_what_is_there(device):
    with pytest.raises(UsageError, match=f"--device {device} needs .*, this onnxruntime has CPUExecutionProvider"):
        choose(device, (), "", [CPU])
    assert names(choose(device, (), "", EVERY)) == list(DEVICES[device])


def test_a_required_provider_is_the_only_choice():
    assert choose("auto", PROFILE, "openvino", EVERY) == (PROFILE[0],)
    assert names(choose("auto", PROFILE, "TensorRT", EVERY)) == [TRT]
    assert names(choose("tensorrt", (), "cuda", EVERY)) == [CUDA]
    assert choose("auto", PROFILE, "cpu", EVERY) == ()
    assert choose("cpu", PROFILE, "CPUExecutionProvider", EVERY) == ()


def test_a_required_provider_that_is_not_there_says_what_to_install():
    with pytest.raises(UsageError, match=r"this onnxruntime has CPUExecutionProvider; .*install onnxruntime-openvino"):
        choose("auto", (), "openvino", [CPU])


@pytest.mark.parametrize(("device", "require"), [("cpu", "cuda"), ("openvino", "cuda"), ("cuda", "cpu")])
def test_a_device_and_a_required_provider_that_exclude_each_other_are_refused(device, require):
    with pytest.raises(UsageError, match="contradict each other"):
        choose(device, (), require, EVERY)


def test_an_unknown_required_provider_is_told_what_there_is():
    with pytest.raises(UsageError, match="choose one of tensorrt, cuda, openvino, xnnpack, acl, coreml, cpu"):
        provider_named("tpu")


def test_a_provider_may_be_named_short_or_long():
    assert {provider_named(text) for text in ("openvino", "OpenVINO", " OpenVINOExecutionProvider ")} == {OPENVINO}
    assert [provider_named(short_name(name)) for name in EVERY] == EVERY


def test_the_cpu_is_a_choice_unless_something_was_named():
    assert not insisted("auto", "")
    assert insisted("openvino", "")
    assert insisted("auto", "openvino")


def test_tensorrt_keeps_its_engines_and_timings():
    options = filled(ProviderChoice(TRT, {"trt_fp16_enable": "1"}), 4, 1, Path("/c/engines")).options
    assert options == {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "/c/engines",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": "/c/engines",
        "trt_fp16_enable": "1",
    }


def test_without_a_cache_nothing_is_written_into_the_folder_the_user_stands_in():
    assert filled(ProviderChoice(TRT, {"trt_fp16_enable": "1"}), 4, 1, None).options == {"trt_fp16_enable": "1"}
    assert filled(ProviderChoice(COREML), 4, 1, None).options == {"ModelFormat": "MLProgram"}


def test_openvino_gets_the_sessions_threads_on_the_cpu_alone():
    assert filled(ProviderChoice(OPENVINO), 3, 2, None).options == {
        "device_type": "CPU",
        "num_of_threads": "3",
        "num_streams": "2",
    }
    assert filled(ProviderChoice(OPENVINO, {"device_type": "GPU"}), 3, 2, None).options == {"device_type": "GPU"}


def test_a_profiles_options_win_over_the_usual_ones():
    options = filled(ProviderChoice(XNNPACK, {"intra_op_num_threads": "1"}), 4, 1, None).options
    assert options == {"intra_op_num_threads": "1"}
    assert filled(ProviderChoice(XNNPACK), 4, 1, None).options == {"intra_op_num_threads": "4"}
    assert filled(ProviderChoice(ACL), 4, 1, None).options == {}


def test_cuda_computes_what_tensorrt_does_not_take():
    assert native_providers(ProviderChoice(TRT, {"device_id": "1"}), EVERY) == [
        (TRT, {"device_id": "1"}),
        (CUDA, {"device_id": "1"}),
        CPU,
    ]
    assert native_providers(ProviderChoice(TRT), [TRT, CPU]) == [TRT, CPU]
    assert native_providers(ProviderChoice(CPU), EVERY) == [CPU]


def test_only_nvidias_providers_compute_in_memory_of_their_own():
    assert [gpu_of(ProviderChoice(name)) for name in EVERY] == [0, 0, None, None, None, None, None]
    assert gpu_of(ProviderChoice(CUDA, {"device_id": "2"})) == 2
