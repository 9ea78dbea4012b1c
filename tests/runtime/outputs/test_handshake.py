"""The handshake by itself: nothing here is sent anywhere."""

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.outputs.handshake import CODES, Handshake, Seen, shown_as

IDLE, UP, TAKEN = Seen(), Seen(trigger=True), Seen(acknowledged=True)


class World:
    def __init__(self, mode="bit"):
        self.handshake = Handshake(1.0, 0.5, mode)
        self.now = 50.0

    def step(self, seen=IDLE, verdict=None, well=True, after=0.01):
        self.now += after
        return self.handshake.step(seen, self.now, verdict, well)

    def bits(self, *more, **named):
        shown = self.step(*more, **named).shown
        return {name for name in ("ready", "busy", "valid", "ok", "ng", "no_read", "warn") if getattr(shown, name)}


def test_a_part_goes_round():
    world = World()
    assert world.bits() == {"ready"}
    step = world.step(UP)
    assert (step.announce, step.shown.busy, step.shown.ready, step.shown.valid) == (True, True, False, False)
    assert world.bits(UP) == {"busy"}
    assert world.bits(UP, "OK") == {"valid", "ok"}
    assert world.bits(UP) == {"valid", "ok"}
    assert world.bits(Seen(True, True)) == set()
    assert world.bits(TAKEN) == set()
    assert world.bits(IDLE) == {"ready"}
    assert world.handshake.shown.part == 1


def test_each_verdict_has_its_bits_and_its_number():
    for verdict, bits in {"OK": {"ok"}, "NG": {"ng"}, "NO_READ": {"no_read"}, "WARN": {"ok", "warn"}}.items():
        world = World()
        world.step()
        world.step(UP)
        assert world.bits(UP, verdict) == {"valid", *bits}
        assert world.handshake.shown.code == CODES[verdict]


def test_a_verdict_that_comes_too_late_is_no_read_and_never_told_later():
    world = World()
    world.step()
    world.step(UP)
    late = world.step(UP, after=1.1)
    assert (late.late, late.shown.no_read, late.shown.ok) == (True, True, False)
    assert world.bits(UP, "OK") == {"valid", "no_read"}
    world = World()
    world.step()
    world.step(UP)
    assert world.bits(UP, "OK", after=1.1) == {"valid", "no_read"}


def test_the_result_of_a_part_is_gone_before_the_next_is_looked_at():
    world = World("none")
    world.step()
    world.step(UP)
    assert world.bits(UP, "OK") == {"ready", "valid", "ok"}
    assert world.bits(IDLE) == {"ready", "valid", "ok"}
    step = world.step(UP)
    assert (step.announce, step.shown.valid, step.shown.ok, step.shown.code) == (True, False, False, 0)


def test_a_trigger_that_comes_up_before_the_result_begins_another_part():
    world = World()
    world.step()
    world.step(UP)
    world.step(IDLE)
    assert world.step(UP).announce
    assert world.handshake.shown.part == 2


def test_a_pulse_between_two_looks_is_a_part_and_its_time_counts():
    world = World("none")
    world.step()
    assert world.step(Seen(rose=True, at=world.now - 0.9)).announce
    assert world.step(IDLE, after=0.2).late


def test_a_trigger_may_acknowledge():
    world = World("trigger")
    world.step()
    world.step(UP)
    assert world.bits(UP, "NG") == {"valid", "ng"}
    assert world.bits(IDLE) == {"ready"}


def test_an_acknowledgement_that_is_still_up_from_before_takes_no_result():
    world = World()
    world.step()
    world.step(Seen(True, True))
    assert world.bits(Seen(True, True), "NG") == {"valid", "ng"}
    assert world.bits(Seen(True, True)) == {"valid", "ng"}
    assert world.bits(UP) == {"valid", "ng"}
    assert world.bits(Seen(True, True)) == set()


def test_what_was_triggered_while_nobody_looked_is_no_read():
    world = World()
    first = world.step(UP)
    assert (first.unread, first.announce, first.shown.no_read, first.shown.valid) == (True, False, True, True)
    assert world.bits(TAKEN) == set()
    assert world.bits(IDLE) == {"ready"}
    world.handshake.begin()
    assert world.bits(IDLE) == {"ready"}
    world.step(UP)
    world.handshake.begin()
    assert world.bits(UP, "OK") == {"valid", "no_read"}


def test_a_result_that_stood_when_the_controller_went_away_does_not_stand_when_it_is_back():
    world = World()
    world.step()
    world.step(UP)
    world.step(UP, "OK")
    world.handshake.begin()
    assert world.bits(IDLE) == {"ready"}


def test_alive_changes_while_verdicts_come_and_stands_still_while_they_do_not():
    world = World()
    alive = [world.step(after=0.3).shown.alive for _ in range(8)]
    assert len(set(alive)) == 2
    world.step(well=False)
    assert len({world.step(well=False, after=0.6).shown.alive for _ in range(8)}) == 1
    assert "ready" not in world.bits(well=False)
    assert len({world.step(after=0.6).shown.alive for _ in range(8)}) == 2


@given(
    st.sampled_from(["bit", "trigger", "none"]),
    st.lists(
        st.tuples(
            st.booleans(),
            st.booleans(),
            st.booleans(),
            st.sampled_from([None, None, "OK", "NG", "NO_READ", "WARN"]),
            st.booleans(),
            st.floats(0.0, 0.7),
        ),
        max_size=40,
    ),
)
def test_whatever_happens_a_result_is_of_the_last_part_and_of_its_time(mode, looks):
    handshake, now, since, given_ = Handshake(1.0, 0.5, mode), 10.0, None, None
    for trigger, acknowledged, lost, verdict, well, after in looks:
        if lost:
            handshake.begin()
            since = None
        now += after
        waiting = handshake.waiting and not lost
        step = handshake.step(Seen(trigger, acknowledged), now, verdict, well)
        shown = step.shown
        if step.announce:
            since, given_ = now, None
        elif waiting and verdict is not None and now - since <= 1.0:
            given_ = verdict
        elif waiting and now - since > 1.0:
            given_ = "NO_READ"
        if shown.valid and not shown.no_read:
            assert shown == shown_as(given_, shown)
        assert not (shown.valid and shown.busy)
        assert [shown.ok, shown.ng, shown.no_read].count(True) == (1 if shown.valid else 0)
        assert (shown.code != 0) == shown.valid
        assert not (shown.warn and not shown.ok)
