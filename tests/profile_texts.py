"""Profiles as text for tests: a whole one, and whole ones with one thing changed."""

WHOLE = """
name = "My board"
architecture = "aarch64"
source = "https://example.com/board"

[match]
compatible = ["vendor,my-board"]
model = ["My board"]

[cpu]
isa = ["asimd", "asimddp"]
[[cpu.clusters]]
core = "cortex-a76"
count = 4
mhz = 2400
[[cpu.clusters]]
core = "cortex-a55"
count = 2
mhz = 1800

[memory]
sizes_mb = [4096, 8192]

[run]
threads = 4
spinning = true
one_thread_lanes = true

[power]
modes = ["MAXN", "15W"]

[[providers]]
name = "TensorrtExecutionProvider"
[providers.options]
trt_fp16_enable = "1"
trt_engine_cache_path = "{cache}/engines"
[[providers]]
name = "CUDAExecutionProvider"

[priors.storage_read_mb_per_s]
sd = { value = 40, source = "a card" }

[priors.memory_gb_per_s]
value = 17.1
source = "computed"

[priors.latency_ms]
mobilenet_v2 = { value = 10.5, source = "somebody" }
"""


def changed(old: str, new: str) -> str:
    """Return the whole profile with its one `old` replaced."""
    if WHOLE.count(old) != 1:
        raise ValueError(f"{old!r} is there {WHOLE.count(old)} times")
    return WHOLE.replace(old, new)
