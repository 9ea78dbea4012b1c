"""Ways to change a layout that leave the right answers known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from edge_tools.families.graph_edit import Editor, shape_of

__all__ = ["Mutation", "mutations_of"]

_FLOAT, _INT64 = int(TensorProto.FLOAT), int(TensorProto.INT64)
_STRIDES = (8, 16, 32)
# Metadata that tell how to normalise pixels: where the graph does so besides, its own package does it twice, too.
_NORMALISED = frozenset({"model_info mean_values", "model_info scale_values"})
Change = Callable[[onnx.ModelProto], onnx.ModelProto]


@dataclass(frozen=True)
class Mutation:
    """What is changed, by what function, and what the changed model calls its first class."""

    name: str
    change: Change
    first_id: int = 0


def mutations_of(model: onnx.ModelProto) -> Iterator[Mutation]:
    """Yield what can be done to this model: to any, and to layouts whose columns are known."""
    whole = list(_of_any(model))
    shapes = {output.name: shape_of(output) for output in model.graph.output}
    known: list[Mutation] = []
    if len(shapes) == 1:
        (shape,) = shapes.values()
        if len(shape) == 3 and shape[1:] == [300, 6]:
            known = list(_of_finished(model))
        elif len(shape) == 3 and isinstance(shape[1], int) and isinstance(shape[2], int) and _plain_rows(model, shape):
            known = list(_of_rows(model, shape[1], shape[2]))
        elif len(shape) == 3 and _side(model) and shape[1] == sum(int(_side(model) // s) ** 2 for s in _STRIDES):
            known = list(_of_grid(model, int(shape[1]), int(shape[2])))
    elif set(shapes) == {"logits", "pred_boxes"}:
        known = list(_of_queries())
    yield from whole
    yield from known
    if model.metadata_props:
        for one in known:
            yield Mutation(f"{one.name}; metadata missing", _after(_without_metadata, one.change), one.first_id)


def _after(first: Change, second: Change) -> Change:
    return lambda model: second(first(model))


def _metadata(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _plain_rows(model: onnx.ModelProto, shape: list[int | str]) -> bool:
    """Whether it is [1, 4 + classes, cells] of an Ultralytics detector."""
    known = _metadata(model)
    return known.get("task") == "detect" and int(shape[2]) > int(shape[1]) and "names" in known


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    return Editor(model).model


def _without_metadata(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = _copy(model)
    del changed.metadata_props[:]
    changed.producer_name = changed.producer_version = ""
    return changed


def _with_metadata(**values: str) -> Change:
    def change(model: onnx.ModelProto) -> onnx.ModelProto:
        changed = _copy(model)
        known = {**_metadata(model), **values}
        del changed.metadata_props[:]
        for key, value in known.items():
            if value:
                changed.metadata_props.add(key=key, value=value)
        return changed

    return change


def _outputs(model: onnx.ModelProto) -> list[tuple[str, str, list[int | str], int]]:
    return [(o.name, o.name, shape_of(o), o.type.tensor_type.elem_type) for o in model.graph.output]


def _renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    kept = _outputs(model)
    return Editor(model).give([(t, f"tensor_{index}", s, k) for index, (t, _, s, k) in enumerate(kept)])


def _backwards(model: onnx.ModelProto) -> onnx.ModelProto:
    return Editor(model).give(_outputs(model)[::-1])


def _more(model: onnx.ModelProto) -> onnx.ModelProto:
    editor, value = Editor(model), model.graph.input[0]
    extra = editor.one("Cast", value.name, to=_FLOAT)
    extra = editor.one("ReduceMean", extra, keepdims=1)
    rank = len(shape_of(value))
    return editor.give([*_outputs(model), (extra, "features", [1] * rank, _FLOAT)])


def _no_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    editor, kept = Editor(model), []
    for tensor, name, shape, kind in _outputs(model):
        kept.append((editor.reshaped(tensor, [int(d) for d in shape[1:]]), name, shape[1:], kind))
    return editor.give(kept)


def _half(model: onnx.ModelProto) -> onnx.ModelProto:
    editor, kept, half = Editor(model), [], int(TensorProto.FLOAT16)
    for tensor, name, shape, kind in _outputs(model):
        kept.append((editor.one("Cast", tensor, to=half), name, shape, half) if kind == _FLOAT else
                    (tensor, name, shape, kind))  # fmt: skip
    return editor.give(kept)


def _free_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = _copy(model)
    for value in (*changed.graph.input, *changed.graph.output):
        dims = value.type.tensor_type.shape.dim
        if len(dims) and dims[0].dim_value == 1:
            dims[0].dim_param = "batch"
    return changed


def _fixed_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = _copy(model)
    for value in (*changed.graph.input, *changed.graph.output):
        dims = value.type.tensor_type.shape.dim
        if len(dims) and not dims[0].dim_value:
            dims[0].dim_value = 1
    return changed


def _free_size(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = _copy(model)
    dims = changed.graph.input[0].type.tensor_type.shape.dim
    for index, name in ((2, "height"), (3, "width")):
        dims[index].dim_param = name
    return changed


def _channels_last(model: onnx.ModelProto) -> onnx.ModelProto:
    editor, name = Editor(model), model.graph.input[0].name
    n, c, h, w = shape_of(model.graph.input[0])
    inner = editor.before([n, h, w, c])
    editor.first("Transpose", [name], inner, perm=[0, 3, 1, 2])
    return editor.model


def _bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take uint8 pixels and scale them to 0..1 inside, as exporters of ready-made pre-processing do."""
    editor, name = Editor(model), model.graph.input[0].name
    inner, cast = editor.before(shape_of(model.graph.input[0]), int(TensorProto.UINT8)), editor.fresh()
    editor.first("Mul", [cast, editor.constant(1 / 255)], inner)
    editor.first("Cast", [name], cast, to=_FLOAT)
    return editor.model


def _whole_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take pixels of 0..255 and scale them to 0..1 inside."""
    editor, name = Editor(model), model.graph.input[0].name
    inner = editor.before(shape_of(model.graph.input[0]))
    editor.first("Mul", [name, editor.constant(1 / 255)], inner)
    return editor.model


def _input_name(model: onnx.ModelProto) -> onnx.ModelProto:
    editor, old = Editor(model), model.graph.input[0].name
    editor.before(shape_of(model.graph.input[0]), model.graph.input[0].type.tensor_type.elem_type)
    inner = editor._count
    editor.graph.input[0].name = "x"
    editor.first("Identity", ["x"], f"mutated_{inner}")
    assert old != "x"
    return editor.model


def _of_any(model: onnx.ModelProto) -> Iterator[Mutation]:
    outputs, image = _outputs(model), shape_of(model.graph.input[0])
    floats = model.graph.input[0].type.tensor_type.elem_type == _FLOAT
    fixed = all(isinstance(d, int) for _, _, shape, _ in outputs for d in shape[1:])
    picture = len(image) == 4 and image[1] == 3
    yield Mutation("outputs renamed", _renamed)
    if model.metadata_props:
        known = _metadata(model)
        yield Mutation("metadata missing", _without_metadata)
        yield Mutation("metadata missing, outputs renamed", _after(_without_metadata, _renamed))
        if "names" in known:
            yield Mutation("names missing", _with_metadata(names=""))
            yield Mutation("names of more classes", _with_metadata(names=str({i: f"c{i}" for i in range(97)})))
            yield Mutation("task missing", _with_metadata(task=""))
            yield Mutation("another task in the metadata", _with_metadata(task="segment"))
            yield Mutation("another size in the metadata", _with_metadata(imgsz="[416, 416]"))
    if len(outputs) > 1:
        yield Mutation("outputs in another order", _backwards)
        yield Mutation("outputs in another order, renamed", _after(_backwards, _renamed))
    yield Mutation("one more output", _more)
    if fixed and all(shape and shape[0] == 1 and len(shape) > 1 for _, _, shape, _ in outputs):
        yield Mutation("outputs without a batch axis", _no_batch)
    yield Mutation("outputs as float16", _half)
    if image and image[0] == 1:
        yield Mutation("batch declared free", _free_batch)
    elif image:
        yield Mutation("batch fixed to 1", _fixed_batch)
    if picture and floats:
        yield Mutation("input renamed", _input_name)
        yield Mutation("input channels last", _channels_last)
        if _NORMALISED.isdisjoint(prop.key for prop in model.metadata_props):
            yield Mutation("input uint8", _bytes)
            yield Mutation("input of 0..255, scaled inside", _whole_pixels)
        if all(isinstance(d, int) for d in image[2:]):
            yield Mutation("height and width declared free", _free_size)


def _side(model: onnx.ModelProto) -> float:
    """The side of a square input of channels first; 0 where it is another."""
    shape = shape_of(model.graph.input[0])
    square = len(shape) == 4 and shape[2] == shape[3] and isinstance(shape[2], int)
    return float(shape[2]) if square else 0.0


def _of_rows(model: onnx.ModelProto, rows: int, cells: int) -> Iterator[Mutation]:
    """[1, 4 + C, A]: cx cy w h in pixels of the input, then a score for each class."""
    classes, name = rows - 4, model.graph.output[0].name

    def made(build: Callable[[Editor, str, str], list[tuple[str, str, list[int | str], int]]]) -> Change:
        def change(given: onnx.ModelProto) -> onnx.ModelProto:
            editor = Editor(given)
            return editor.give(build(editor, editor.part(name, 0, 4, 1), editor.part(name, 4, rows, 1)))

        return change

    def single(build: Callable[[Editor, str, str], str], *shape: int) -> Change:
        return made(lambda e, boxes, scores: [(build(e, boxes, scores), "output", list(shape), _FLOAT)])

    def join(e: Editor, boxes: str, scores: str) -> str:
        return e.joined([boxes, scores], 1)

    def turn(e: Editor, tensor: str) -> str:
        return e.turned(tensor, [0, 2, 1])

    def ones(e: Editor) -> str:
        return e.constant(np.ones((1, 1, cells)))

    def logits(e: Editor, scores: str) -> str:
        safe = e.one("Min", e.one("Max", scores, e.constant(1e-6)), e.constant(1 - 1e-6))
        return e.one("Log", e.one("Div", safe, e.one("Sub", e.constant(1.0), safe)))

    less = 1 / _side(model)
    whole = (1, rows, cells)
    swap = [1, 0, 3, 2]
    yield Mutation("rows: axes swapped", single(lambda e, b, s: turn(e, join(e, b, s)), 1, cells, rows))
    yield Mutation("rows: boxes normalised", single(lambda e, b, s: join(e, e.scaled(b, less), s), *whole))
    yield Mutation("rows: corners", single(lambda e, b, s: join(e, e.corners(b, 1), s), *whole))
    yield Mutation(
        "rows: corners normalised, axes swapped",
        single(lambda e, b, s: turn(e, join(e, e.scaled(e.corners(b, 1), less), s)), 1, cells, rows),
    )
    yield Mutation("rows: y before x", single(lambda e, b, s: join(e, e.columns(b, swap, 1), s), *whole))
    yield Mutation("rows: y1 x1 y2 x2", single(lambda e, b, s: join(e, e.columns(e.corners(b, 1), swap, 1), s), *whole))
    yield Mutation(
        "rows: an objectness of 1",
        single(lambda e, b, s: turn(e, e.joined([b, ones(e), s], 1)), 1, cells, rows + 1),
    )
    yield Mutation("rows: scores before boxes", single(lambda e, b, s: e.joined([s, b], 1), *whole))
    yield Mutation("rows: scores as logits", single(lambda e, b, s: join(e, b, logits(e, s)), *whole))
    yield Mutation("rows: in four dimensions", single(
        lambda e, b, s: e.reshaped(join(e, b, s), [1, rows, cells, 1]),
        1, rows, cells, 1))  # fmt: skip
    yield Mutation("rows: boxes and scores apart", made(
        lambda e, b, s: [(b, "tensor_0", [1, 4, cells], _FLOAT), (s, "tensor_1", [1, classes, cells], _FLOAT)]
    ))  # fmt: skip
    yield Mutation("rows: boxes and scores apart, axes swapped, named", made(
        lambda e, b, s: [(turn(e, e.corners(b, 1)), "boxes", [1, cells, 4], _FLOAT),
                         (turn(e, s), "scores", [1, cells, classes], _FLOAT)]))  # fmt: skip
    yield Mutation("rows: scores and boxes apart, normalised", made(
        lambda e, b, s: [(turn(e, s), "tensor_0", [1, cells, classes], _FLOAT),
                         (turn(e, e.scaled(b, less)), "tensor_1", [1, cells, 4], _FLOAT)]))  # fmt: skip


def _of_grid(model: onnx.ModelProto, cells: int, columns: int) -> Iterator[Mutation]:
    """[1, A, 5 + C] of YOLOX: offsets and logarithms of sizes in cells, an objectness, a score for each class."""
    name, side = model.graph.output[0].name, _side(model)
    steps = np.concatenate([np.full(int(side // s) ** 2, s) for s in _STRIDES]).reshape(1, -1, 1)
    grids = [np.stack(np.meshgrid(*[np.arange(int(side // s))] * 2), -1).reshape(-1, 2) for s in _STRIDES]
    points = np.concatenate(grids)[None]

    def decoded(e: Editor) -> str:
        centres = e.scaled(e.one("Add", e.part(name, 0, 2, 2), e.constant(points)), steps)
        return e.joined([centres, e.scaled(e.one("Exp", e.part(name, 2, 4, 2)), steps)], 2)

    def single(build: Callable[[Editor, str, str], str], *shape: int) -> Change:
        def change(given: onnx.ModelProto) -> onnx.ModelProto:
            e = Editor(given)
            rest = e.part(name, 4, columns, 2)
            return e.give([(build(e, decoded(e), rest), "output", list(shape), _FLOAT)])

        return change

    def join(e: Editor, *parts: str) -> str:
        return e.joined(parts, 2)

    def scores(e: Editor, rest: str) -> str:
        return e.one("Mul", e.part(rest, 0, 1, 2), e.part(rest, 1, columns - 4, 2))

    whole, swap, less = (1, cells, columns), [1, 0, 3, 2], 1 / side
    fewer = (1, cells, columns - 1)
    yield Mutation("grid: decoded", single(join, *whole))
    yield Mutation("grid: decoded, y before x", single(lambda e, b, r: join(e, e.columns(b, swap, 2), r), *whole))
    yield Mutation("grid: decoded, corners", single(lambda e, b, r: join(e, e.corners(b, 2), r), *whole))
    yield Mutation(
        "grid: decoded, y1 x1 y2 x2", single(lambda e, b, r: join(e, e.columns(e.corners(b, 2), swap, 2), r), *whole)
    )
    yield Mutation("grid: decoded, normalised", single(lambda e, b, r: join(e, e.scaled(b, less), r), *whole))
    yield Mutation(
        "grid: decoded, axes swapped", single(lambda e, b, r: e.turned(join(e, b, r), [0, 2, 1]), 1, columns, cells)
    )
    yield Mutation("grid: decoded, one score a class", single(lambda e, b, r: join(e, b, scores(e, r)), *fewer))
    yield Mutation(
        "grid: decoded, one score a class, y before x",
        single(lambda e, b, r: join(e, e.columns(b, swap, 2), scores(e, r)), *fewer),
    )
    yield Mutation(
        "grid: decoded, one score a class, axes swapped, y1 x1 y2 x2",
        single(
            lambda e, b, r: e.turned(join(e, e.columns(e.corners(b, 2), swap, 2), scores(e, r)), [0, 2, 1]),
            1, columns - 1, cells,
        ),
    )  # fmt: skip


def _of_finished(model: onnx.ModelProto) -> Iterator[Mutation]:
    """[1, 300, 6]: x1 y1 x2 y2 in pixels, score, class; or, of RT-DETR, cx cy w h of 0..1."""
    name, count = model.graph.output[0].name, 300
    side = _side(model)
    centred = "RTDETR" in _metadata(model).get("head", "")

    def made(build: Callable[[Editor, str, str, str], list[tuple[str, str, list[int | str], int]]]) -> Change:
        def change(given: onnx.ModelProto) -> onnx.ModelProto:
            editor = Editor(given)
            boxes = editor.part(name, 0, 4, 2)
            if centred:
                boxes = editor.scaled(editor.corners(boxes, 2), side)
            return editor.give(build(editor, boxes, editor.part(name, 4, 5, 2), editor.part(name, 5, 6, 2)))

        return change

    def single(build: Callable[[Editor, str, str, str], str], *shape: int | str) -> Change:
        return made(lambda e, b, s, c: [(build(e, b, s, c), "output", list(shape), _FLOAT)])

    def join(e: Editor, *parts: str) -> str:
        return e.joined(parts, 2)

    whole = (1, count, 6)
    less = 1 / side
    yield Mutation("finished: boxes normalised", single(lambda e, b, s, c: join(e, e.scaled(b, less), s, c), *whole))
    yield Mutation("finished: centres", single(lambda e, b, s, c: join(e, e.centred(b, 2), s, c), *whole))
    yield Mutation(
        "finished: centres normalised",
        single(lambda e, b, s, c: join(e, e.scaled(e.centred(b, 2), less), s, c), *whole),
    )
    yield Mutation(
        "finished: y1 x1 y2 x2", single(lambda e, b, s, c: join(e, e.columns(b, [1, 0, 3, 2], 2), s, c), *whole)
    )
    yield Mutation("finished: class before score", single(lambda e, b, s, c: join(e, b, c, s), *whole))
    yield Mutation("finished: score, class, box", single(lambda e, b, s, c: join(e, s, c, b), *whole))
    yield Mutation("finished: class, score, box", single(lambda e, b, s, c: join(e, c, s, b), *whole))
    yield Mutation(
        "finished: ids from 1", single(lambda e, b, s, c: join(e, b, s, e.one("Add", c, e.constant(1.0))), *whole), 1
    )
    yield Mutation(
        "finished: axes swapped", single(lambda e, b, s, c: e.turned(join(e, b, s, c), [0, 2, 1]), 1, 6, 300)
    )
    yield Mutation("finished: a number of the image first", single(
        lambda e, b, s, c: e.reshaped(join(e, e.constant(np.zeros((1, count, 1))), b, c, s), [count, 7]), "n", 7
    ))  # fmt: skip
    yield Mutation("finished: SSD's [1, 1, K, 7]", single(
        lambda e, b, s, c: e.reshaped(
            join(e, e.constant(np.zeros((1, count, 1))), c, s, e.scaled(b, less)), [1, 1, count, 7]), 1, 1, count, 7
        ))  # fmt: skip
    yield Mutation("finished: boxes, scores, classes apart", made(
        lambda e, b, s, c: [(b, "boxes", [1, count, 4], _FLOAT),
                            (e.reshaped(s, [1, count]), "scores", [1, count], _FLOAT),
                            (e.reshaped(c, [1, count]), "classes", [1, count], _FLOAT)]))  # fmt: skip
    yield Mutation("finished: classes, boxes, scores apart, unnamed", made(
        lambda e, b, s, c: [(e.one("Cast", e.reshaped(c, [1, count]), to=_INT64), "tensor_0", [1, count], _INT64),
                            (b, "tensor_1", [1, count, 4], _FLOAT),
                            (e.reshaped(s, [1, count]), "tensor_2", [1, count], _FLOAT)]))  # fmt: skip
    yield Mutation("finished: boxes with scores, labels apart", made(
        lambda e, b, s, c: [(join(e, b, s), "dets", [1, count, 5], _FLOAT),
                            (e.one("Cast", e.reshaped(c, [1, count]), to=_INT64), "labels", [1, count], _INT64)]
                        ))  # fmt: skip


def _of_queries() -> Iterator[Mutation]:
    """`logits` [1, Q, C] and `pred_boxes` [1, Q, 4], cx cy w h of 0..1, as transformers gives them."""

    def made(
        build: Callable[[Editor, str, str, int, int, float], list[tuple[str, str, list[int | str], int]]],
    ) -> Change:
        def change(given: onnx.ModelProto) -> onnx.ModelProto:
            shapes = {output.name: shape_of(output) for output in given.graph.output}
            queries, classes = (int(d) for d in shapes["logits"][1:])
            return_ = build(editor := Editor(given), "logits", "pred_boxes", queries, classes, _side(given))
            return editor.give(return_)

        return change

    yield Mutation("queries: corners", made(
        lambda e, s, b, q, c, side: [(s, "logits", [1, q, c], _FLOAT),
                                     (e.corners(b, 2), "pred_boxes_xyxy", [1, q, 4], _FLOAT)]))  # fmt: skip
    yield Mutation("queries: boxes in pixels", made(
        lambda e, s, b, q, c, side: [(s, "logits", [1, q, c], _FLOAT),
                                     (e.scaled(b, side), "boxes", [1, q, 4], _FLOAT)]))  # fmt: skip
    yield Mutation("queries: scores, not logits", made(
        lambda e, s, b, q, c, side: [(e.one("Sigmoid", s), "scores", [1, q, c], _FLOAT),
                                     (b, "pred_boxes", [1, q, 4], _FLOAT)]))  # fmt: skip
    yield Mutation("queries: boxes and logits in one tensor", made(
        lambda e, s, b, q, c, side: [(e.joined([b, s], 2), "output", [1, q, c + 4], _FLOAT)]))  # fmt: skip
    yield Mutation("queries: boxes and scores in one tensor", made(
        lambda e, s, b, q, c, side: [(e.joined([b, e.one("Sigmoid", s)], 2), "output", [1, q, c + 4], _FLOAT)]
    ))  # fmt: skip
    yield Mutation("queries: axes swapped", made(
        lambda e, s, b, q, c, side: [(e.turned(s, [0, 2, 1]), "logits", [1, c, q], _FLOAT),
                                     (e.turned(b, [0, 2, 1]), "pred_boxes", [1, 4, q], _FLOAT)]))  # fmt: skip
