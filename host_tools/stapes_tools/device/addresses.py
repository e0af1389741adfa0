"""Where a board is: a serial port, tcp://HOST[:PORT], or tls://HOST[:PORT]?pin=SHA256."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import stapes_spec as spec
from stapes.link.secrets import key_from_hex

from ..errors import UserError
from .serial_port import SerialStream
from .sockets import SocketStream
from .stream import ByteStream

KEY_VARIABLE = "STAPES_KEY"
_ADVICE = "give tcp://HOST:PORT or tls://HOST:PORT?pin=SHA256, as `stapes keys show` prints it"


@dataclass(frozen=True)
class Address:
    """A place on the network; pin is None for TCP."""

    text: str
    host: str
    port: int
    pin: str | None


def is_network(where: str) -> bool:
    """Return whether where is an address on the network."""
    return where.startswith(("tcp://", "tls://"))


def parse(where: str) -> Address:
    """Take an address apart.

    Raises:
        UserError: it is none, or one of TLS without a pin.
    """
    try:
        parts = urlsplit(where)
        port = parts.port or spec.LINK_PORT
    except ValueError as error:
        raise UserError(f"not an address ({error})", where, _ADVICE) from None
    pin = parse_qs(parts.query).get("pin", [""])[0].replace(":", "").lower()
    if not parts.hostname:
        raise UserError("the address has no host", where, _ADVICE)
    if parts.scheme == "tls" and (len(pin) != 64 or set(pin) - set("0123456789abcdef")):
        raise UserError("the address has no pin of 64 hexadecimal digits", where, _ADVICE)
    return Address(f"{parts.scheme}://{parts.hostname}:{port}", parts.hostname, port, pin or None)


def open_stream(where: str) -> ByteStream:
    """Open the way to a board that serves the link by itself.

    Raises:
        UserError, BoardError: it cannot be opened.
    """
    if not is_network(where):
        return SerialStream(where)
    address = parse(where)
    return SocketStream(address.text, address.host, address.port, address.pin)


def load_key(path: Path | None) -> bytes | None:
    """Return the device key in a file; without one in the file that STAPES_KEY names; else None.

    Raises:
        UserError: the file cannot be read, or holds no key.
    """
    name = str(path) if path else os.environ.get(KEY_VARIABLE)
    if not name:
        return None
    try:
        return key_from_hex(Path(name).read_text())
    except OSError as error:
        raise UserError(error.strerror or str(error), name, "make a key with `stapes keys new`") from None
    except ValueError as error:
        raise UserError(str(error), name, "make a key with `stapes keys new`") from None
