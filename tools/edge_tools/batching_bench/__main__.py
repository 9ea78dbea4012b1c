"""`python -m edge_tools.batching_bench`: our batching policy against fixed settings and the rules of others."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click

from edge_runtime.errors import EdgelineError, UsageError
from edge_tools.batching_bench.accuracy import accuracy
from edge_tools.batching_bench.contest import Result, play, scenario
from edge_tools.batching_bench.report import as_json, as_text, plot
from edge_tools.batching_bench.services import SERVICES
from edge_tools.batching_bench.traces import TRACES, requests

LOADS = (0.5, 0.8, 0.95, 1.2)


@click.command()
@click.option("--json", "in_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--seed", "seeds", type=int, multiple=True, help="Seed of the traces; may be given several times.")
@click.option("--traces", "names", default=",".join(TRACES), show_default=True, help="Which to play.")
@click.option("--services", default=",".join(SERVICES), show_default=True, help="Which cost tables to play them on.")
@click.option("--noise", default=0.0, show_default=True, help="Standard deviation of a duration, as a part of it.")
@click.option("--jobs", default=0, help="Processes; 0: as many as there are cores.")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture as well.")
def main(
    in_json: bool, seeds: tuple[int, ...], names: str, services: str, noise: float, jobs: int, picture: Path | None
) -> None:
    """Play arrival traces in simulated time: ours, the best fixed setting in hindsight, Clipper, TF Serving, Triton."""
    try:
        results = run(_chosen(names, list(TRACES)), _chosen(services, list(SERVICES)), seeds or (101,), noise, jobs)
        forecasts = {
            name: accuracy(requests(TRACES[name](random.Random(f"{name} {(seeds or (101,))[0]}")), 100.0))
            for name in _chosen(names, list(TRACES))
        }
        if picture is not None:
            plot(results, picture)
    except EdgelineError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    click.echo(json.dumps(as_json(results, forecasts), indent=1) if in_json else as_text(results, forecasts))


def run(names: list[str], services: list[str], seeds: tuple[int, ...], noise: float, jobs: int) -> list[Result]:
    """Play every trace on every service at every load with every seed; the same whatever `jobs` is."""
    cases = [
        (name, service, load, seed, noise) for name in names for service in services for load in LOADS for seed in seeds
    ]
    if jobs == 1:
        return [_play(case) for case in cases]
    # Forked, not started anew: a new interpreter of multiprocessing's would look in the current folder first.
    with ProcessPoolExecutor(jobs or os.cpu_count(), multiprocessing.get_context("fork")) as pool:
        return list(pool.map(_play, cases))


def _play(case: tuple[str, str, float, int, float]) -> Result:
    return play(scenario(*case))


def _chosen(names: str, known: list[str]) -> list[str]:
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    for name in chosen:
        if name not in known:
            raise UsageError(f"expected names out of {', '.join(known)}, found {name!r}; see --help")
    return chosen


if __name__ == "__main__":
    main()
