"""`stapes keys`: what proves to a board, and to its host, who the other is."""

from pathlib import Path

import click

from ..device import keys as device_keys

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(short_help="Make the device key and certificate of a board on the network.")
def keys() -> None:
    """Make and show what a board on the network proves itself with."""


@keys.command()
@click.argument("folder", type=_FOLDER, metavar="FOLDER")
@click.option("--name", default="stapes", show_default=True, help="Common name of the certificate.")
def new(*, folder: Path, name: str) -> None:
    """Write a new device key and certificate into FOLDER.

    Copy settings.json, certificate.der and private_key.der to the board, with the network's name and
    password filled in; keep device.key for `stapes monitor --key`.
    """
    pin = device_keys.new_keys(folder, name)
    click.echo(f"{folder}: device.key, certificate.der, private_key.der, settings.json")
    click.echo(f"pin={pin}")


@keys.command()
@click.argument("folder", type=_FOLDER, metavar="FOLDER")
def show(*, folder: Path) -> None:
    """Print the pin of the certificate in FOLDER: tls://HOST:PORT?pin=…"""
    click.echo(f"pin={device_keys.pin_of(folder)}")
