"""Plans are kept and found again, and made anew when the process or the wish is another one."""

import dataclasses
import os
from pathlib import Path

import pytest
from plan_cases import SPEEDS, make_chain

from edge_devices.process_memory import Memory
from edge_runtime.blocks.measured import Measured
from edge_runtime.blocks.prepared import write_json
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.errors import EngineError, MemoryLimitError
from edge_runtime.plan.planner import plan
from edge_runtime.prepare import plans
from edge_runtime.prepare.make import MeasuredFile
from edge_runtime.prepare.plans import make_plan

MIB = 1 << 20
LIMIT = 200 * MIB


class Machine:
    """What a test says of the process and the machine; plans in this process, counting."""

    def __init__(self):
        self.resident = 80 * MIB
        self.available: int | None = 1 << 34
        self.made = []

    def call(self, _module, request, tell):
        tell("planning", 0, 1)
        self.made.append(request.limit)
        write_json(plan(self.manifest, self.measured.content.measurements, SPEEDS, request.limit), Path(request.target))
        return 0


@pytest.fixture
def machine(monkeypatch, tmp_path):
    machine = Machine()
    machine.manifest, measurements = make_chain(0, 4, (1, 2, 4))
    machine.measured = MeasuredFile(tmp_path / "measured.json", Measured(1, measurements, SPEEDS))
    machine.bundle = Bundle(tmp_path, machine.manifest, "0" * 64)
    monkeypatch.setattr(plans, "call", machine.call)
    monkeypatch.setattr(plans, "memory", lambda: Memory(machine.resident, machine.resident, machine.resident))
    monkeypatch.setattr(plans, "available_memory", lambda: machine.available)
    machine.plan = lambda limit=LIMIT, batch=2, reserve=0: make_plan(
        machine.bundle, tmp_path, machine.measured, batch, limit, reserve
    )
    return machine


def test_a_plan_is_made_once_and_found_again(machine):
    first = machine.plan()
    assert machine.plan() == first
    assert len(machine.made) == 1
    assert first.limit_bytes == LIMIT


def test_the_base_is_the_next_whole_step_above_what_the_process_takes(machine):
    for resident in (80 * MIB, 80 * MIB + 1, 80 * MIB + MIB // 2, 81 * MIB - 1):
        machine.resident = resident
        base = machine.plan().base_bytes
        assert base % MIB == 0
        assert resident + MIB // 2 <= base
    assert base <= 82 * MIB


@pytest.mark.parametrize(("limit", "batch"), [(LIMIT + 1, 2), (None, 2), (LIMIT, 1)])
def test_another_limit_or_batch_makes_another_plan_and_both_are_kept(machine, limit, batch):
    machine.plan()
    machine.plan(limit, batch)
    assert len(machine.made) == 2
    machine.plan()
    machine.plan(limit, batch)
    assert len(machine.made) == 2


def test_other_measurements_make_another_plan(machine):
    machine.plan()
    content = machine.measured.content
    measurements = dataclasses.replace(content.measurements, overhead_bytes=1)
    machine.measured = dataclasses.replace(
        machine.measured, content=dataclasses.replace(content, measurements=measurements)
    )
    machine.plan()
    assert len(machine.made) == 2


def test_a_process_that_takes_more_than_the_plan_counts_with_has_a_new_one(machine):
    machine.plan()
    machine.resident += 3 * MIB
    assert machine.plan().base_bytes >= machine.resident
    assert len(machine.made) == 2


def test_a_process_that_takes_much_less_has_a_better_plan(machine):
    machine.resident = 90 * MIB
    machine.plan()
    machine.resident = 80 * MIB
    assert machine.plan().base_bytes <= 81 * MIB
    assert len(machine.made) == 2


def test_pages_that_come_and_go_from_start_to_start_do_not_make_new_plans(machine):
    machine.resident = 80 * MIB + 3 * MIB // 4
    machine.plan()
    for resident in (80 * MIB + MIB // 4, 80 * MIB + MIB, 80 * MIB + 3 * MIB // 4):
        machine.resident = resident
        machine.plan()
    assert len(machine.made) == 1


def test_what_the_caller_reserves_is_kept_free(machine):
    without = machine.plan()
    reserved = machine.plan(reserve=10 * MIB)
    assert reserved.base_bytes == without.base_bytes + 10 * MIB


def test_a_limit_that_cannot_be_met_names_the_smallest_that_can(machine):
    with pytest.raises(MemoryLimitError) as raised:
        machine.plan(limit=MIB)
    smallest = raised.value.smallest_bytes
    assert machine.plan(limit=smallest).peak_bytes <= smallest
    with pytest.raises(MemoryLimitError):
        machine.plan(limit=smallest - 1)


@pytest.mark.parametrize(("available", "cached"), [(None, True), (1 << 34, True), (LIMIT, True), (100 * MIB, False)])
def test_weights_stay_in_the_page_cache_where_there_is_room_beside_the_process(machine, available, cached):
    machine.available = available
    assert machine.plan().cached is cached


def test_only_the_newest_plans_are_kept(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "_KEPT_PLANS", 3)
    for number in range(5):
        machine.plan(limit=LIMIT + number * MIB)
        newest = max(tmp_path.glob("plan-*.json"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (number, number))
    assert len(list(tmp_path.glob("plan-*.json"))) == 3
    machine.plan(limit=LIMIT + 4 * MIB)
    assert len(machine.made) == 5


@pytest.mark.parametrize("damage", ["", "{}", "not json"])
def test_a_damaged_plan_is_made_again(machine, tmp_path, damage):
    first = machine.plan()
    (path,) = tmp_path.glob("plan-*.json")
    path.write_text(damage)
    assert machine.plan() == first
    assert len(machine.made) == 2


def test_a_plan_that_is_gone_at_once_is_an_error_of_one_line(machine, monkeypatch):
    monkeypatch.setattr(plans, "call", lambda *_args: 0)
    with pytest.raises(EngineError, match="was removed while it was used; start again"):
        machine.plan()
