"""An onnxruntime with providers that it has not: everything is computed by the CPU, under whatever name."""

from __future__ import annotations

import ctypes
import os
import sys

import numpy as np
import onnxruntime

CPU = "CPUExecutionProvider"


class FakeSession:
    """A session of the real onnxruntime that says it is on other providers, and may answer wrongly."""

    def __init__(self, session, providers, wrong):
        self._session, self._providers, self._wrong = session, providers, wrong

    def __getattr__(self, name):
        return getattr(self._session, name)

    def get_providers(self):
        return self._providers

    def run(self, names, feeds, options=None):
        values = self._session.run(names, feeds, options)
        return [self._spoilt(value) for value in values]

    def run_with_iobinding(self, binding, options=None):
        self._session.run_with_iobinding(binding, options)
        if self._wrong:
            for value in binding.get_outputs():
                count = int(np.prod(value.shape()))
                np.ctypeslib.as_array((ctypes.c_float * count).from_address(value.data_ptr()))[:] *= -1

    def _spoilt(self, value):
        return -value if self._wrong else value


class FakeRuntime:
    """`providers` maps a name to what it does: "works", "fails" (raises), "silent" (goes on with the CPU after a line
    on descriptor 2), "wrong" (answers wrongly), "wrong:TEXT" and "refuses:TEXT" (for a graph whose file has TEXT in its
    name, or that is made of bytes where TEXT is "bytes").

    `opened` lists (graph's name, first provider, its options).
    """

    def __init__(self, providers):
        self._does = providers
        self.opened = []

    def __getattr__(self, name):
        return getattr(onnxruntime, name)

    def get_available_providers(self):
        return [*self._does, CPU]

    def InferenceSession(self, graph, options=None, providers=(), enable_fallback=1):  # noqa: N802 as it is called
        names = [item if isinstance(item, str) else item[0] for item in providers]
        given = {} if isinstance(providers[0], str) else providers[0][1]
        name = graph if isinstance(graph, str) else "bytes"
        does, _, where = self._does.get(names[0], "works").partition(":")
        here = where in name
        if names[0] != CPU:
            assert not enable_fallback
            self.opened.append((name, names[0], given))
            if does == "fails" or (does == "refuses" and here):
                raise RuntimeError(f"{names[0]} cannot do this\nat all")
            if does == "silent":
                os.write(2, b"\x1b[1;31m2026-11-22 10:55:52.5 [E:onnxruntime:Default, a.cc:1 F] no libfake.so\x1b[m\n")
                names = [CPU]
        session = onnxruntime.InferenceSession(graph, options, providers=[CPU])
        spoils = does == "wrong" and here and (where or name != "bytes")
        return FakeSession(session, names, spoils)


def install(monkeypatch, **providers):
    """Let this be the process's onnxruntime: install(monkeypatch, OpenVINO="works"); nothing was tried or said yet."""
    from edge_runtime.ort.providers import load

    fake = FakeRuntime({f"{name}ExecutionProvider": does for name, does in providers.items()})
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.setattr(load, "_FAILURES", {})
    monkeypatch.setattr(load, "_SAID", set())
    return fake
