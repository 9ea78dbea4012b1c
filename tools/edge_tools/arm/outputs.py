"""`python -m edge_tools.arm.outputs BUNDLE -o FILE.npz`: what a bundle answers on this processor, to compare elsewhere.

The bundle's golden samples and, with `--images`, the pictures of a folder, each pre-processed here, run as `edge-run`
would run them. The file holds, for sample NN, the outputs as `output_NN NAME` and what they mean as `answer_NN`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from edge_runtime.cli.console import run_command
from edge_runtime.engine import Engine, open_bundle
from edge_runtime.errors import DataError, SourceError
from edge_runtime.files.atomic import writing
from edge_runtime.inspect.sources.images import images_in, read_image
from edge_runtime.verify.answer import read_answer
from edge_runtime.verify.golden import load_golden, read_golden
from edge_runtime.vision.preprocess import Preprocessor

__all__ = ["answers", "feeds_of"]

Array = NDArray[np.generic]


def feeds_of(engine: Engine, golden: Path, images: Path | None) -> Iterator[Mapping[str, Array]]:
    """Yield the inputs of every golden sample, then those of every image of the folder `images`, by natural order."""
    manifest = engine.manifest
    spec, first = manifest.preprocess, manifest.inputs[0]
    for sample in read_golden(load_golden(golden), first, spec):
        yield sample.feeds
    if images is None:
        return
    if spec is None or len(manifest.inputs) != 1:
        raise DataError(f"{manifest.model.name} takes tensors, not images; leave out --images")
    if not images.is_dir():
        raise SourceError(f"expected a folder of pictures, found none at {images}; name one with --images")
    for path in images_in(images.iterdir()):
        yield {first.name: Preprocessor(spec).batch([read_image(path)] * (first.batch or 1))[0]}


def answers(bundle: Path, images: Path | None) -> dict[str, Array]:
    """Run the bundle on what `feeds_of` yields; returns the outputs and what they mean, by the names told above."""
    arrays: dict[str, Array] = {}
    with open_bundle(bundle, prepare=True) as engine:
        for number, feeds in enumerate(feeds_of(engine, bundle / "golden.npz", images)):
            outputs = engine.infer(feeds)
            arrays |= {f"output_{number:02d} {name}": values for name, values in outputs.items()}
            if (answer := read_answer(engine.manifest, outputs)) is not None:
                arrays[f"answer_{number:02d}"] = answer
    return arrays


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), help="A folder of pictures to run as well.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The .npz file to write.")
def outputs(bundle: Path, images: Path | None, output: Path) -> None:
    """Run BUNDLE on its golden samples and write every output and answer to a file."""
    arrays = answers(bundle, images)
    with writing(output), output.open("wb") as file:
        # Names with spaces are no keyword arguments to write, but fine ones to pass.
        np.savez(file, allow_pickle=False, **arrays)


def main() -> None:
    """Run the command and leave the process with its exit code."""
    run_command(outputs, "outputs")


if __name__ == "__main__":
    main()
