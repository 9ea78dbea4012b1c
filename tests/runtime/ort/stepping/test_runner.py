from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_models

from edge_devices.profile import ProviderChoice
from edge_runtime.errors import EngineError
from edge_runtime.ort.lanes import laned
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.runner import Arrays, AtOnce, Tensors
from edge_runtime.ort.session import SessionOptions, SessionRunner
from edge_runtime.ort.stepping.crowd import Crowd
from edge_runtime.ort.stepping.parking import Parking
from edge_runtime.ort.stepping.runner import Stepped, SteppingRunner, stepping

FEEDS = {"images": np.zeros((1, 3, 32, 32), np.float32)}


class World(AtOnce):
    """A machine with two cores on which others come and go, a session on it, and its threads: all in made-up time."""

    providers = (CPU,)

    def __init__(self) -> None:
        self.now = 0.0
        self.loaded = False
        self.resting = 0
        self.closed: list[str] = []

    def clock(self) -> float:
        return self.now

    def room(self) -> float:  # type: ignore[override]  # that of a Crowd
        return 0.3 if self.loaded else 2.0

    def run(self, feeds: Arrays) -> Tensors:
        ms = {(False, 0): 10, (False, 1): 18, (True, 0): 90, (True, 1): 50}[self.loaded, self.resting]
        self.now += ms * len(feeds["images"]) / 1000
        return {"logits": np.full(1, self.resting, np.float32)}

    def close(self) -> None:
        self.closed.append("runner")


class Threads:
    """Stands in for Parking."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def resting(self) -> int:
        return self._world.resting

    def rest_one(self, feeds: Arrays, _patience_s: float) -> Tensors | None:
        self._world.resting += 1
        return self._world.run(feeds)

    def call_back(self) -> None:
        self._world.resting = 0

    def close(self) -> None:
        self._world.closed.append("threads")


def stepping_in(world: World) -> SteppingRunner:
    return SteppingRunner(world, Threads(world), 2, world, world.clock, lambda: None)  # type: ignore[arg-type]


def play(runner: SteppingRunner, world: World, seconds: float, loaded: bool) -> float:
    """Run for so long; returns runs a second."""
    world.loaded = loaded
    began, runs = world.now, 0
    while world.now - began < seconds:
        runner.run(FEEDS)
        runs += 1
    return runs / (world.now - began)


def test_it_is_as_fast_as_the_better_number_beside_a_load_that_comes_and_goes() -> None:
    world = World()
    runner = stepping_in(world)
    for _ in range(5):
        assert play(runner, world, 20.0, loaded=False) >= 0.95 * 1000 / 10
        assert play(runner, world, 20.0, loaded=True) >= 0.95 * 1000 / 50


def test_what_became_of_the_threads_is_told() -> None:
    world = World()
    runner = stepping_in(world)
    play(runner, world, 10.0, loaded=False)
    assert runner.stepped.line() == ""
    play(runner, world, 10.0, loaded=True)
    play(runner, world, 10.0, loaded=False)
    stepped = runner.stepped
    assert (stepped.threads, stepped.fewest, stepped.steps) == (2, 1, 1)
    assert stepped.seconds == pytest.approx(10.0, abs=1.5)
    assert stepped.line().startswith("1 of 2 for 3")
    assert stepped.line().endswith("(stepped back 1 time)")


def test_batches_of_several_sizes_are_judged_by_what_each_takes_at_best() -> None:
    world = World()
    runner = stepping_in(world)
    for number in range(400):  # larger batches take longer, which is no sign of other work
        runner.run({"images": np.zeros((1 + number // 50, 3, 4, 4), np.float32)})
    assert world.resting == 0


def test_threads_come_back_before_the_session_goes() -> None:
    world = World()
    stepping_in(world).close()
    assert world.closed == ["threads", "runner"]


def test_steps_in_words() -> None:
    told = Stepped(4, steps=2, seconds=30.0, run_seconds=60.0, fewest=1).line()
    assert told == (
        "1 of 4 for 50 % of the run time: other work had the cores, and fewer were faster (stepped back 2 times)"
    )


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "net.onnx"
    path.write_bytes(tiny_models.convnet(size=32).SerializeToString())
    return path


def opened(graph: Path, options: SessionOptions) -> SessionRunner:
    return SessionRunner(graph, options, provider=ProviderChoice(CPU))


def test_only_several_threads_of_one_lane_on_the_cpu_step_back_and_only_where_that_is_asked(graph: Path) -> None:
    asked = SessionOptions("cpu", 2, steps_back=True)
    found = stepping(opened(graph, asked), asked, 2)
    assert isinstance(found, SteppingRunner)
    found.close()
    for options in (SessionOptions("cpu", 2), SessionOptions("cpu", 1, steps_back=True)):
        runner = opened(graph, options)
        assert stepping(runner, options, options.threads or 1) is runner
        runner.close()
    lanes = SessionOptions("cpu", 1, lanes=2, steps_back=True)
    runner = opened(graph, lanes)
    many = laned(runner, lambda: runner, lanes)
    assert stepping(many, lanes, 2) is many
    many.close()


def test_a_real_session_steps_back_and_forth_with_the_same_answers(graph: Path) -> None:
    options = SessionOptions("cpu", 2)
    runner = opened(graph, options)
    feeds = {"images": np.random.default_rng(1).standard_normal((2, 3, 32, 32)).astype(np.float32)}
    expected = runner.run(feeds)["logits"]
    world = World()

    class Slowed(AtOnce):
        """The session, with the time of the made-up machine."""

        providers = (CPU,)

        def run(self, feeds: Arrays) -> Tensors:
            world.resting = parking.resting
            world.run(feeds)
            return runner.run(feeds)

        def close(self) -> None:
            runner.close()

    parking = runner.parking()
    assert isinstance(parking, Parking)
    found = SteppingRunner(Slowed(), parking, 2, world, world.clock, lambda: None)  # type: ignore[arg-type]
    seen = set()
    for loaded in (True, False, True):
        world.loaded = loaded
        until = world.now + 30.0
        while world.now < until:
            assert np.array_equal(found.run(feeds)["logits"], expected)
        seen.add((loaded, parking.resting))
    found.close()
    assert seen == {(True, 1), (False, 0)}
    with pytest.raises(EngineError, match="closed"):
        runner.run(feeds)


def test_the_machine_s_own_figures_do(graph: Path) -> None:
    options = SessionOptions("cpu", 2, steps_back=True)
    runner = opened(graph, options)
    parking = runner.parking()
    assert parking is not None
    found = SteppingRunner(runner, parking, 2, Crowd())
    for _ in range(200):
        found.run(FEEDS)
    found.close()
    assert found.stepped.threads == 2
