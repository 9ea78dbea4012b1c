import contextlib
import subprocess
import urllib.request

import pytest

from edge_runtime.errors import DependencyError, OutputError
from edge_runtime.outputs.prometheus import PrometheusPage
from edge_runtime.outputs.settings import Prometheus
from edge_runtime.station.figures import Figures
from edge_runtime.store.entries import Event
from edge_tools.station.mosquitto import free_port

VERDICTS = ("OK", "NG", "OK", "NO_READ")


def state():
    figures = Figures()
    for number, verdict in enumerate(VERDICTS):
        body = {"event_id": str(number), "station": "belt", "verdict": verdict, "ts_utc": "2026-01-31T10:00:00.250Z"}
        figures.add(Event.of(body), float(number), 20.0 * (number + 1))
    return {
        "started": "2026-01-31T09:00:00.000Z",
        "stations": {"belt": figures.to_json(4.0), "idle": Figures().to_json(4.0)},
        "store": {"waiting": 2, "failing_s": None, "pictures_left_out": 3},
        "outputs": {'jsonl /a "b"': {"sent": 1, "refused": "", "waiting": 5}, "mqtt x": {"sent": 1, "refused": "gone"}},
        "memory": 12345678,
        "temperature_c": 51.5,
    }


def page(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return answer.read().decode()


@pytest.fixture
def shown():
    port = free_port()
    with contextlib.closing(PrometheusPage(Prometheus(port=port), ["belt", "idle"], state)):
        yield page(port)


def test_it_shows_what_there_is(shown):
    lines = set(shown.splitlines())
    assert lines >= {
        'edgeline_verdicts_total{station="belt",verdict="OK"} 2.0',
        'edgeline_verdicts_total{station="belt",verdict="NO_READ"} 1.0',
        'edgeline_verdicts_total{station="idle",verdict="NG"} 0.0',
        'edgeline_lag_seconds_bucket{le="0.05",station="belt"} 2.0',
        'edgeline_lag_seconds_bucket{le="+Inf",station="belt"} 4.0',
        'edgeline_lag_seconds_sum{station="belt"} 0.2',
        'edgeline_last_verdict_timestamp_seconds{station="belt"} 1.76985360025e+09',
        'edgeline_output_waiting_events{output="jsonl /a \\"b\\""} 5.0',
        'edgeline_output_failing{output="mqtt x"} 1.0',
        "edgeline_store_waiting_entries 2.0",
        "edgeline_store_failing_seconds 0.0",
        "edgeline_pictures_left_out_total 3.0",
        "edgeline_resident_memory_bytes 1.2345678e+07",
        "edgeline_temperature_celsius 51.5",
    }


def test_promtool_finds_nothing_to_say_against_it(shown):
    try:
        done = subprocess.run(["promtool", "check", "metrics"], input=shown, text=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("promtool is not installed")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_the_stations_that_ask_for_it_are_shown():
    port = free_port()
    with contextlib.closing(PrometheusPage(Prometheus(port=port), ["idle"], state)):
        assert 'station="belt"' not in page(port)
        with pytest.raises(OutputError, match=rf"cannot listen at 127.0.0.1:{port}: .*another address or port"):
            PrometheusPage(Prometheus(port=port), ["idle"], state)
    with pytest.raises(OSError, match="refused"):
        page(port)


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    with pytest.raises(DependencyError, match=r"edgeline\[station\]"):
        PrometheusPage(Prometheus(), [], state)


def test_a_port_is_one():
    with pytest.raises(ValueError, match="from 1 to 65535"):
        Prometheus(port=0)
