"""The layout bench lays out every plan that could be made, whatever the limit."""

from __future__ import annotations

from plan_cases import SPEEDS, make_chain

from edge_tools.layout_bench import arenas_of, as_table


def test_the_arenas_of_all_plans_are_compared_with_their_bounds() -> None:
    manifest, measurements = make_chain(3, 8)
    ends = frozenset(spec.name for spec in manifest.inputs), frozenset(spec.name for spec in manifest.outputs)
    found = arenas_of("chain", measurements, SPEEDS, ends, batch=2)
    assert found.plans > 4
    assert 1.0 <= found.mean <= found.worst <= 1.02
    assert found.near == found.plans
    head, line = as_table([found]).splitlines()
    assert head.split()[0] == "bundle"
    assert line.split()[:2] == ["chain", str(found.plans)]
