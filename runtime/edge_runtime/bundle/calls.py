"""How many nodes a graph comes to, functions written out, before onnxruntime writes them out: a budget for its loading.

A function that calls another twice, and that one a third, is a few hundred bytes and 2^n nodes. Nodes of chance are
refused as well: the same picture must get the same answer, and some of them end the process on sizes that are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from edge_runtime.bundle.wire import fields, message

__all__ = ["MOST_FUNCTIONS", "MOST_NODES", "check_calls"]

MOST_FUNCTIONS = 4096  # torch's exporter writes some dozens
MOST_NODES = 200_000  # the largest networks that run on a board have some thousands
_CHANCE = frozenset(
    {b"Bernoulli", b"Multinomial", b"RandomNormal", b"RandomNormalLike", b"RandomUniform", b"RandomUniformLike"}
)
_MODEL_GRAPH, _MODEL_FUNCTION, _GRAPH_NODE, _FUNCTION_NODE = 7, 25, 1, 7
_NODE_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN, _FUNCTION_NAME, _FUNCTION_DOMAIN = 4, 5, 7, 1, 10
_ATTRIBUTE_GRAPHS = frozenset({6, 11})
_MAX_DEPTH = 24  # of graphs within graphs, each of them three levels of protobuf's 100
_MAX_CALLS = 100  # of functions that call functions
_STANDARD = b"ai.onnx"

_Operator = tuple[bytes, bytes]  # domain and name; onnxruntime tells functions apart by these
_Calls = Counter[_Operator]


def check_calls(model: bytes) -> frozenset[_Operator]:
    """Check what the nodes of a serialized ModelProto come to. Returns the operators that they are, but its functions.

    Raises ValueError, also for bytes that are no ModelProto.
    """
    main: _Calls = Counter()
    functions: dict[_Operator, _Calls] = {}
    for number, value in fields(memoryview(model)):
        if number == _MODEL_GRAPH:
            _count(message(value), _GRAPH_NODE, main, 0)
        elif number == _MODEL_FUNCTION:
            body = message(value)
            name, calls = _named(body), Counter[_Operator]()
            _count(body, _FUNCTION_NODE, calls, 0)
            if functions.setdefault(name, calls) is not calls:
                raise ValueError(f"the graph has the function {_text(name)} twice")
            if len(functions) > MOST_FUNCTIONS:
                raise ValueError(f"the graph has more than {MOST_FUNCTIONS} functions")
    for calls in (main, *functions.values()):
        if chance := sorted(name for domain, name in calls if domain == b"" and name in _CHANCE):
            raise ValueError(f"the graph has a node of chance ({chance[0].decode()}): its answers differ each time")
    total = _total(main, functions, {}, ())
    if total > MOST_NODES:
        raise ValueError(f"the graph comes to more than {MOST_NODES} nodes")
    return frozenset().union(main, *functions.values()) - functions.keys()


def _count(view: memoryview, wanted: int, calls: _Calls, depth: int) -> None:
    """Count the nodes of a graph or function, those of the graphs within included."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"the graph is nested deeper than {_MAX_DEPTH} levels")
    for number, value in fields(view):
        if number != wanted:
            continue
        name = domain = b""
        for inner, held in fields(message(value)):  # of two names, protobuf takes the last
            if inner == _NODE_TYPE:
                name = bytes(message(held))
            elif inner == _NODE_DOMAIN:
                domain = bytes(message(held))
            elif inner == _NODE_ATTRIBUTE:
                for kind, graph in fields(message(held)):
                    if kind in _ATTRIBUTE_GRAPHS:
                        _count(message(graph), _GRAPH_NODE, calls, depth + 1)
        calls[(b"" if domain == _STANDARD else domain), name] += 1


def _named(function: memoryview) -> _Operator:
    name = domain = b""
    for number, value in fields(function):
        if number == _FUNCTION_NAME:
            name = bytes(message(value))
        elif number == _FUNCTION_DOMAIN:
            domain = bytes(message(value))
    return b"" if domain == _STANDARD else domain, name


def _total(
    calls: _Calls, functions: Mapping[_Operator, _Calls], known: dict[_Operator, int], under: tuple[_Operator, ...]
) -> int:
    """The nodes of a body with all functions written out; more than MOST_NODES are not counted to their end."""
    total = 0
    for name, count in calls.items():
        if name not in functions:
            total += count
            continue
        if name in under or len(under) > _MAX_CALLS:
            raise ValueError(f"the function {_text(name)} calls itself, or lies too deep")
        if name not in known:
            known[name] = _total(functions[name], functions, known, (*under, name))
        total += count * max(1, known[name])
        if total > MOST_NODES:
            break
    return total


def _text(name: _Operator) -> str:
    return repr(b"::".join(name)[:200].decode("utf-8", "backslashreplace"))
