"""How the stations do, as a page that Prometheus reads. Rates and percentiles are its business.

Names and labels follow https://prometheus.io/docs/practices/naming/: base units, `_total` for what is counted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import DependencyError, OutputError
from edge_runtime.outputs.settings import Prometheus

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["PrometheusPage"]


class PrometheusPage:
    """The page, at http://ADDRESS:PORT/metrics, until it is closed."""

    def __init__(self, settings: Prometheus, stations: Sequence[str], state: Callable[[], Mapping[str, Any]]) -> None:
        """Raises OutputError where the port cannot be had, DependencyError."""
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError as error:
            raise DependencyError(
                "prometheus needs prometheus-client, not installed here: pip install 'edgeline[station]'"
            ) from error
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(tuple(stations), state))
        try:
            self._server, self._thread = start_http_server(settings.port, settings.address, registry)
        except (OSError, UnicodeError) as error:
            place = f"{settings.address}:{settings.port}"
            raise OutputError(f"prometheus cannot listen at {place}: {error}; name another address or port") from error
        self._lock = threading.Lock()

    def close(self) -> None:
        """Take it away; a second call does nothing."""
        with self._lock:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Collector:
    """Asks for the state each time that somebody looks (prometheus_client's Collector)."""

    def __init__(self, stations: tuple[str, ...], state: Callable[[], Mapping[str, Any]]) -> None:
        self._stations, self._state = stations, state

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        state = self._state()
        yield from _station_metrics({name: state["stations"][name] for name in self._stations})
        yield from _process_metrics(state)


def _station_metrics(stations: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    verdicts = CounterMetricFamily(
        "edgeline_verdicts", "Verdicts on parts since the station was started.", labels=["station", "verdict"]
    )
    rate = GaugeMetricFamily("edgeline_part_rate_hertz", "Parts a second, of the last 10 s.", labels=["station"])
    lag = HistogramMetricFamily(
        "edgeline_lag_seconds", "From when a picture was taken to its verdict.", labels=["station"]
    )
    last = GaugeMetricFamily(
        "edgeline_last_verdict_timestamp_seconds", "When the last part was seen, of the wall clock.", labels=["station"]
    )
    for name, figures in stations.items():
        for verdict, count in figures["verdicts"].items():
            verdicts.add_metric([name, verdict], count)
        rate.add_metric([name], figures["rate"])
        lags = figures["lags"]
        buckets = [*lags["below_s"].items(), ("+Inf", lags["count"])]
        lag.add_metric([name], buckets, lags["sum_s"])
        if figures["last"] is not None:
            last.add_metric([name], _moment(figures["last"]["ts"]))
    yield from (verdicts, rate, lag, last)


def _process_metrics(state: Mapping[str, Any]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    store = state["store"]
    waiting = GaugeMetricFamily(
        "edgeline_output_waiting_events", "Verdicts that an output has not told yet.", labels=["output"]
    )
    failing = GaugeMetricFamily(
        "edgeline_output_failing", "1 while an output cannot tell anything, else 0.", labels=["output"]
    )
    for name, output in state["outputs"].items():
        if "waiting" in output:
            waiting.add_metric([name], output["waiting"])
        failing.add_metric([name], float(bool(output["refused"])))
    yield from (waiting, failing)
    yield InfoMetricFamily("edgeline", "What runs.", {"version": version("edgeline")})
    yield GaugeMetricFamily(
        "edgeline_start_timestamp_seconds", "When it was started, of the wall clock.", _moment(state["started"])
    )
    yield GaugeMetricFamily(
        "edgeline_store_waiting_entries", "Records in memory that are not on the disk yet.", store["waiting"]
    )
    yield GaugeMetricFamily(
        "edgeline_store_failing_seconds",
        "For how long the store could not be written; 0: it can be.",
        store["failing_s"] or 0.0,
    )
    yield CounterMetricFamily(
        "edgeline_pictures_left_out",
        "Pictures that were not kept, for lack of room or time.",
        store["pictures_left_out"],
    )
    if state["memory"]:
        yield GaugeMetricFamily("edgeline_resident_memory_bytes", "Memory of the process.", state["memory"])
    if state["temperature_c"] is not None:
        yield GaugeMetricFamily(
            "edgeline_temperature_celsius", "Of the hottest sensor of the machine.", state["temperature_c"]
        )


def _moment(text: str) -> float:
    """Seconds of 1970 of a time as records have it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
