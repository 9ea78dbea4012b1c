"""The arena: bounds, alignment, life."""

import gc
import mmap
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.blocks.arena import Arena
from edge_runtime.errors import MemoryLimitError


def test_the_memory_begins_at_a_page_and_is_zero():
    for size in (1, 4096, 4097, 1 << 20):
        arena = Arena(size)
        assert arena.address % mmap.PAGESIZE == 0
        assert not arena.view(0, "uint8", (size,)).any()


def test_two_views_of_one_place_are_the_same_memory():
    arena = Arena(8192)
    floats = arena.view(4096, "float32", (2, 3))
    floats[:] = [[1, 2, 3], [4, 5, 6]]
    assert floats.ctypes.data == arena.address + 4096
    assert floats.flags.c_contiguous
    assert floats.flags.writeable
    assert arena.view(4096, np.float32, (6,)).tolist() == [1, 2, 3, 4, 5, 6]
    assert not arena.view(0, "uint8", (4096,)).any()


def test_an_arena_of_nothing_gives_empty_views_only():
    arena = Arena(0)
    assert arena.view(0, "float32", (0, 5)).shape == (0, 5)
    with pytest.raises(ValueError, match="outside the arena's 0 bytes"):
        arena.view(0, "uint8", (1,))


def test_a_scalar_has_its_own_shape():
    value = Arena(8).view(0, "float32", ())
    assert value.shape == ()
    assert value.nbytes == 4


@pytest.mark.parametrize(
    ("offset", "dtype", "shape"),
    [
        (-1, "uint8", (1,)),
        (4096, "uint8", (1,)),
        (4093, "float32", (1,)),
        (0, "float64", (513,)),
        (0, "uint8", (-1,)),
        (0, "float32", (-1, -1)),
        (8, "uint8", (-8,)),
        (0, "uint8", (2**40, 2**40)),  # 2**80 wraps to 0 in 64 bits
        (0, "float64", (2**61,)),
        (2**63, "uint8", (1,)),
    ],
)
def test_a_view_outside_is_refused(offset, dtype, shape):
    with pytest.raises(ValueError, match="outside the arena's 4096 bytes"):
        Arena(4096).view(offset, dtype, shape)


@given(
    size=st.integers(0, 9000),
    offset=st.integers(-10, 9010),
    dtype=st.sampled_from(["uint8", "float16", "float32", "int64", "bool"]),
    shape=st.lists(st.integers(-2, 60), max_size=3).map(tuple),
)
def test_a_view_lies_inside_or_is_refused(size, offset, dtype, shape):
    arena = Arena(size)
    length = int(np.prod(shape)) * np.dtype(dtype).itemsize
    inside = offset >= 0 and all(dim >= 0 for dim in shape) and offset + length <= size
    if not inside:
        with pytest.raises(ValueError, match="outside"):
            arena.view(offset, dtype, shape)
        return
    view = arena.view(offset, dtype, shape)
    assert (view.shape, view.dtype) == (shape, np.dtype(dtype))
    if view.size:
        assert view.ctypes.data == arena.address + offset
    view[...] = 1


def test_a_view_outlives_the_arena():
    arena = Arena(1 << 20)
    view = arena.view(0, "uint8", (1 << 20,))
    view[:] = 7
    del arena
    gc.collect()
    Arena(1 << 20).view(0, "uint8", (1 << 20,))[:] = 9  # would take the same pages if they were free
    assert (view == 7).all()


@pytest.mark.parametrize("size", [1 << 62, 1 << 64])
def test_more_memory_than_there_can_be_is_refused(size):
    with pytest.raises(MemoryLimitError, match=f"does not give {size} bytes for the arena"):
        Arena(size)


_LOCK = """
import resource, sys
from edge_runtime.blocks.arena import Arena
from edge_runtime.errors import MemoryLimitError
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
try:
    import os
    if os.geteuid() == 0:  # the limit is not root's
        os.setgid(65534); os.setuid(65534)
    arena = Arena(1 << 16)
    arena.lock()
except MemoryLimitError as error:
    print(error)
else:
    arena.view(0, "uint8", (1 << 16,))[:] = 1
    print(open("/proc/self/status").read())
"""


def _locking(limit):
    path = [entry for entry in sys.path if entry]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{_LOCK}", str(limit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and sets Linux's limits")
def test_memory_that_may_not_be_locked_is_one_line_that_says_what_to_do():
    said = _locking(0)
    assert "does not lock 65536 bytes in memory" in said
    assert "raise `ulimit -l`" in said
    assert said.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and sets Linux's limits")
def test_locked_memory_is_locked():
    locked = next(line for line in _locking(1 << 17).splitlines() if line.startswith("VmLck"))
    assert int(locked.split()[1]) >= 64
