"""Single examples from many threads, run together.

from edge_runtime import Batcher, open_bundle

with open_bundle("pcb.edge", batch=8) as engine, Batcher(engine, max_batch_size=8, timeout_ms=5) as batcher:
    future = batcher.submit(image)  # from any thread; a concurrent.futures.Future
    result = future.result()
    result = batcher.infer(image)  # the same, waiting

Within asyncio: `result = await asyncio.wrap_future(batcher.submit(image))`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from edge_runtime.batching.gathering import Gatherer
from edge_runtime.errors import DataError, EngineError, UsageError
from edge_runtime.ort.affinity import staying_on
from edge_runtime.results import Judge

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Batcher"]

Array = NDArray[Any]
Example = Union[Array, Mapping[str, Array]]
# Gets a whole batch, arrays with a first axis more, and gives the answers as an array or by name, the same way.
BatchCall = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class _Waiting:
    example: Example
    future: Future[Any]


class Batcher:
    """Gathers what is submitted and runs it together, on one thread for each of the engine's lanes.

    What it takes, one at a time:
    - for an Engine, an image (uint8 [height, width, 3], any size): its future gives a Result;
    - for an Engine, prepared tensors by input name without their batch axis: its future gives the outputs by name;
    - for a function, an array, or arrays by name: the function gets them stacked along a new first axis and gives an
      array, or arrays by name, whose first axis is the batch.

    Shapes. Images of an engine may have any sizes. Of everything else, what has the same shape goes together: each
    shape is a bucket of its own. With `shape` examples are padded to it with zeros at the end of each axis and share
    one bucket; None in it leaves an axis as it is. In what comes back, every axis of an array with the example's number
    of dimensions that has the padded length is cut back to the example's own; other arrays come as they are.

    What is submitted is not copied: leave it alone until its future is done. Should a batch fail, each of its examples
    runs again alone, so that the error goes to the one whose it is.
    """

    def __init__(
        self,
        engine: Judge | BatchCall,
        max_batch_size: int = 8,
        timeout_ms: float = 2.0,
        shape: Sequence[int | None] | None = None,
        lanes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A batch starts when it is full, or when its first example has waited `timeout_ms` for others.

        `lanes`: batches at a time; None: the engine's, and 1 for a function. Raises UsageError.
        """
        if max_batch_size < 1 or not 0 <= timeout_ms < float("inf") or (lanes is not None and lanes < 1):
            raise UsageError(
                "expected max_batch_size and lanes of 1 or more and timeout_ms of 0 or more, found "
                f"{max_batch_size}, {lanes} and {timeout_ms}"
            )
        if shape is not None and not all(
            axis is None or (isinstance(axis, (int, np.integer)) and axis > 0) for axis in shape
        ):
            raise UsageError(f"expected a shape of positive integers or None for each axis, found {shape!r}")
        if not callable(engine) and not hasattr(engine, "infer"):
            raise UsageError(f"expected an engine or a function of a batch, found {type(engine).__name__}")
        self._judge = None if callable(engine) else engine
        self._call: BatchCall = engine if callable(engine) else engine.infer
        self._shape = None if shape is None else tuple(shape)
        self._clock = clock
        self._changed = threading.Condition()
        self._gatherer: Gatherer[_Waiting] = Gatherer(max_batch_size, timeout_ms / 1000)
        self._closing = False
        self._cores = () if self._judge is None else self._judge.cores
        count = lanes or (1 if self._judge is None else self._judge.lanes)
        self._threads = [
            threading.Thread(target=self._lane, name=f"edgeline-batch-{lane}", daemon=True) for lane in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, example: Example) -> Future[Any]:
        """Return the future of one image, or of one example's tensors. Safe from any thread.

        Raises DataError for what can be seen to be wrong at once, EngineError after `close`.
        """
        from concurrent.futures import Future  # which a process without a batcher does not have in memory

        prepared, bucket = self._prepared(example)
        waiting = _Waiting(prepared, Future())
        with self._changed:
            if self._closing:
                raise EngineError("the batcher is closed; make another one")
            self._gatherer.add(bucket, waiting, self._clock())
            self._changed.notify_all()
        return waiting.future

    def infer(self, example: Example) -> Any:
        """Submit and wait. Raises what the run raises."""
        return self.submit(example).result()

    def close(self) -> None:
        """Finish everything that was submitted, then end. Closing twice does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _prepared(self, example: Example) -> tuple[Example, Hashable]:
        """The example and its bucket. What is to be padded is padded when it runs, not in the caller's thread."""
        if isinstance(example, Mapping):
            arrays = {name: np.asarray(array) for name, array in example.items()}
            return arrays, tuple((name, str(array.dtype), self._target(array)) for name, array in arrays.items())
        if self._judge is not None:
            if not isinstance(example, np.ndarray) or example.ndim not in (2, 3):
                found = list(example.shape) if isinstance(example, np.ndarray) else type(example).__name__
                raise DataError(f"expected one image [height, width, 3] or tensors by input name, found {found}")
            if self._shape is not None:
                raise DataError("an engine brings images to its size by itself; make the Batcher without shape")
            return example, "image"
        array = np.asarray(example)
        return array, (str(array.dtype), self._target(array))

    def _target(self, array: Array) -> tuple[int, ...]:
        """The shape that an array is run with. Raises DataError for one that is larger."""
        if self._shape is None:
            return tuple(array.shape)
        fits = array.ndim == len(self._shape) and all(
            wanted is None or size <= wanted for size, wanted in zip(array.shape, self._shape, strict=True)
        )
        if not fits:
            raise DataError(f"expected an example of at most {list(self._shape)}, found {list(array.shape)}; cut it")
        return tuple(wanted or size for size, wanted in zip(array.shape, self._shape, strict=True))

    def _lane(self) -> None:
        with staying_on(self._cores):
            while batch := self._next():
                self._carry_out([waiting for waiting in batch if waiting.future.set_running_or_notify_cancel()])

    def _next(self) -> list[_Waiting]:
        """Wait for a batch that is due; [] when the batcher is closed and nothing is left."""
        with self._changed:
            while True:
                now = self._clock()
                batch = self._gatherer.take(now, at_once=self._closing)
                if batch or (self._closing and not len(self._gatherer)):
                    return batch
                due = self._gatherer.next_due()
                self._changed.wait(None if due is None else max(due - now, 0.0))

    def _carry_out(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            answers = self._run([waiting.example for waiting in batch])
        except BaseException as error:  # noqa: BLE001  # it is raised by future.result()
            if len(batch) > 1:
                for waiting in batch:
                    self._carry_out([waiting])
            else:
                batch[0].future.set_exception(error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.future.set_result(answer)

    def _run(self, examples: Sequence[Example]) -> Sequence[Any]:
        if isinstance(examples[0], Mapping):
            names = list(examples[0])
            found = [example for example in examples if isinstance(example, Mapping)]
            stacked = {name: self._stacked([example[name] for example in found]) for name in names}
            own = [next(iter(example.values())).shape for example in found] if names else [()] * len(found)
            return self._split(self._call(stacked), own)
        arrays = [example for example in examples if not isinstance(example, Mapping)]
        if self._judge is not None:
            return self._judge.run(arrays)
        return self._split(self._call(self._stacked(arrays)), [array.shape for array in arrays])

    def _stacked(self, arrays: Sequence[Array]) -> Array:
        shape = self._target(arrays[0])
        stacked = np.zeros((len(arrays), *shape), arrays[0].dtype)
        for place, array in zip(stacked, arrays, strict=True):
            place[tuple(map(slice, array.shape))] = array
        return stacked

    def _split(self, outputs: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
        """Give each example its own of every output, cut back where it was padded. Raises EngineError."""
        if isinstance(outputs, Mapping):
            arrays = {name: self._split(array, shapes) for name, array in outputs.items()}
            return [{name: parts[index] for name, parts in arrays.items()} for index in range(len(shapes))]
        try:
            count = len(outputs)
        except TypeError:
            count = -1
        if count != len(shapes):
            found = "something without a length" if count < 0 else f"{count} answers"
            raise EngineError(f"a batch of {len(shapes)} gave {found}; the first axis of each output is the batch")
        return [self._cut(outputs[index], shape) for index, shape in enumerate(shapes)]

    def _cut(self, output: Any, shape: tuple[int, ...]) -> Any:
        if not isinstance(output, np.ndarray):
            return output
        if self._shape is None or output.ndim != len(shape):
            return output.copy()  # a view would keep the whole batch
        sizes = zip(output.shape, shape, self._shape, strict=True)
        return output[tuple(slice(own if size == padded else size) for size, own, padded in sizes)].copy()
