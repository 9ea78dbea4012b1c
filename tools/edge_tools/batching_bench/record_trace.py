"""Record a real arrival trace: `python -m edge_tools.batching_bench.record_trace VIDEO... --seconds 10 > trace.csv`.

A process per video decodes it, paces the frames by its clock and sends each as JPEG over TCP on loopback; this process
receives them, a thread for each, decodes them and notes when: what comes through is the real jitter of the scheduler,
the decoder and the sockets of the machine it runs on.
"""

from __future__ import annotations

import multiprocessing
import platform
import socket
import struct
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import click
import cv2
import numpy as np

from edge_runtime.errors import SourceError

_HEAD = struct.Struct("<I")


@click.command()
@click.argument("videos", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seconds", default=10.0, show_default=True, help="How long to record.")
@click.option("--fps", default=30.0, show_default=True, help="Frames per second of each source.")
def main(videos: tuple[Path, ...], seconds: float, fps: float) -> None:
    """Print the arrivals of VIDEOS, each sent by a process of its own, as CSV with the provenance on top."""
    arrivals: list[tuple[float, str]] = []
    threads = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        # Forked, before there are threads: multiprocessing's new interpreters look in the current folder first.
        start = multiprocessing.get_context("fork").Process
        senders = [start(target=_send, args=(video, port, seconds, fps)) for video in videos]
        for sender in senders:
            sender.start()
        for number in range(len(senders)):
            link, _ = server.accept()
            thread = threading.Thread(target=_receive, args=(link, f"camera-{number}", arrivals))
            thread.start()
            threads.append(thread)
    for thread in threads:
        thread.join()
    for sender in senders:
        sender.join()
    click.echo(
        f"# recorded {datetime.now(timezone.utc):%Y-%m-%d} by edge_tools.batching_bench.record_trace: "
        f"{len(videos)} videos ({', '.join(sorted({video.name for video in videos}))}) decoded and sent at {fps:g} fps "
        "over TCP on loopback,"
    )
    click.echo(
        f"# received and decoded on {platform.machine()} {platform.system()}, {multiprocessing.cpu_count()} cores"
    )
    click.echo("ms,source")
    arrivals.sort()
    for at, source in arrivals:
        click.echo(f"{1000 * (at - arrivals[0][0]):.3f},{source}")


def _send(video: Path, port: int, seconds: float, fps: float) -> None:
    reader = cv2.VideoCapture(str(video))
    with socket.create_connection(("127.0.0.1", port)) as link:
        began = time.monotonic()
        for frame in range(int(seconds * fps)):
            good, image = reader.read()
            if not good:  # from the start again
                reader.set(cv2.CAP_PROP_POS_FRAMES, 0)
                good, image = reader.read()
            if not good:
                raise SourceError(f"{video} has no frame that can be read; give another video")
            data = cv2.imencode(".jpg", cv2.resize(image, (640, 360)))[1].tobytes()
            time.sleep(max(0.0, began + frame / fps - time.monotonic()))
            link.sendall(_HEAD.pack(len(data)) + data)


def _receive(link: socket.socket, source: str, arrivals: list[tuple[float, str]]) -> None:
    with link, link.makefile("rb") as stream:
        while len(head := stream.read(_HEAD.size)) == _HEAD.size:
            data = stream.read(_HEAD.unpack(head)[0])
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            arrivals.append((time.monotonic(), source))


if __name__ == "__main__":
    main()
