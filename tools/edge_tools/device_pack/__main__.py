"""`python -m edge_tools.device_pack BUNDLE... -o X.tar.gz`: what a device needs, to be installed there offline."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.cli.console import run_command
from edge_runtime.files.sizes import format_size
from edge_tools.device_pack.pack import ONNXRUNTIME, PLATFORMS, Target, pack


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The archive, a .tar.gz.")
@click.option("--platform", type=click.Choice(PLATFORMS), default="aarch64", show_default=True, help="The device's.")
@click.option("--python", default="3.11", show_default=True, help="The device's Python (python3 --version there).")
@click.option("--onnxruntime", default=ONNXRUNTIME, show_default=True, help="Its version.")
@click.option("--without-onnxruntime", is_flag=True, help="The device has one, as a Jetson.")
@click.option("--wheel", type=click.Path(path_type=Path), help="Edgeline's wheel; else it is built from this checkout.")
@click.option("--sign", type=click.Path(path_type=Path), metavar="KEY", help="Sign the archive (edge-sign keygen).")
def device_pack(
    bundles: tuple[Path, ...],
    output: Path,
    platform: str,
    python: str,
    onnxruntime: str,
    without_onnxruntime: bool,
    wheel: Path | None,
    sign: Path | None,
) -> None:
    """Pack BUNDLES, Edgeline's runtime and an install script into one archive for a device without a network.

    \b
    On the device:  tar xf X.tar.gz && sh edgeline-device/install.sh
    Signed, and checked before its script runs:  cd edgeline-device && openssl pkeyutl -verify -pubin
      -inkey /etc/edgeline/trusted.d/line3.pub.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig
    """
    packed = pack(bundles, output, Target(platform, python, "" if without_onnxruntime else onnxruntime), wheel, sign)
    click.echo(f"{packed.path}: {format_size(packed.bytes)}, {len(bundles)} bundles, {len(packed.wheels)} wheels")
    click.echo(f"on the device: tar xf {packed.path.name} && sh edgeline-device/install.sh")


def main() -> None:
    """Run the command and leave the process with its exit code."""
    run_command(device_pack, "device_pack")


if __name__ == "__main__":
    main()
