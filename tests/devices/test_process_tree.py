"""What a process tree takes: children count, pages of several mappings count once, and the most of it is kept."""

import mmap
import os
import subprocess
import sys

import pytest

from edge_devices.process_tree import PeakWatch, tree_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")

SIZE = 64 << 20
CHILD = f"held = bytearray(b'x') * {SIZE}; print('ready', flush=True); input()"


def started(code):
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_what_a_process_started_counts_until_it_ends():
    before = tree_bytes(os.getpid())
    with started(CHILD) as child:
        assert child.stdout.readline() == "ready\n"
        assert tree_bytes(child.pid) > SIZE
        assert tree_bytes(os.getpid()) > before + SIZE // 2
        child.communicate("")
    assert tree_bytes(child.pid) == 0


def test_grandchildren_count():
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {CHILD!r}])"
    with started(code) as child:
        assert child.stdout.readline() == "ready\n"
        assert tree_bytes(child.pid) > SIZE
        child.communicate("\n")


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memfd_create(2)")
def test_pages_that_are_mapped_twice_count_once():
    descriptor = os.memfd_create("twice")
    os.ftruncate(descriptor, SIZE)
    before = tree_bytes(os.getpid())
    views = [mmap.mmap(descriptor, SIZE) for _ in range(2)]
    for view in views:
        view.write(b"x" * SIZE)
    grown = tree_bytes(os.getpid()) - before
    assert SIZE * 0.9 < grown < SIZE * 1.5, f"grew by {grown} bytes for {SIZE}"
    for view in views:
        view.close()
    os.close(descriptor)


def test_the_most_that_it_took_is_kept():
    with PeakWatch(os.getpid(), every=60) as watch:
        first = watch.peak
        held = bytearray(b"x") * SIZE
        assert watch.stop() > first + SIZE // 2
        del held
    assert watch.stop() == watch.peak


def test_a_process_that_is_gone_takes_nothing():
    with PeakWatch(2**22 + 1) as watch:
        assert watch.stop() == 0
