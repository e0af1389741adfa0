"""A board on the network, as a stream of bytes: TCP, or TLS with a pinned certificate."""

import contextlib
import hashlib
import hmac
import select
import socket
import ssl

import stapes_spec as spec

from ..errors import BoardError
from .client import board_fault

_CONNECT_TIMEOUT_S = 10.0
_WRITE_TIMEOUT_S = 10.0
_LOST = "check board and network, then run the command again"


class SocketStream:
    """The bytes of a connection.

    Args:
        name: what errors call the board.
        host, port: where it listens.
        pin: SHA-256 of its certificate in hexadecimal digits for TLS, None for TCP.
    Raises:
        BoardError: it cannot be reached.
        UserError: its certificate is another.
    """

    def __init__(self, name: str, host: str, port: int, pin: str | None = None) -> None:
        self.name = name
        self.secure = pin is not None
        try:
            raw = socket.create_connection((host, port), _CONNECT_TIMEOUT_S)
        except OSError as error:
            raise BoardError(f"no connection ({error.strerror or error})", name, _LOST) from None
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket = raw if pin is None else _pinned(raw, pin, name)
        except BaseException:
            raw.close()
            raise
        self._socket.settimeout(_WRITE_TIMEOUT_S)

    def read(self, count: int, timeout_s: float) -> bytes:
        """Return at most count bytes of what has arrived, b"" if nothing came in time."""
        pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        if not pending and not select.select([self._socket], [], [], max(timeout_s, 0))[0]:
            return b""
        try:
            data = self._socket.recv(count)
        except (ssl.SSLWantReadError, TimeoutError):
            return b""
        except OSError as error:
            raise self._gone(error) from None
        if not data:
            raise self._gone(None)
        return data

    def write(self, data: bytes) -> None:
        """Send all of data."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._gone(error) from None

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _gone(self, error: OSError | None) -> BoardError:
        reason = f" ({error.strerror or error})" if error else ""
        return BoardError(f"the connection was lost{reason}", self.name, _LOST)


def _pinned(raw: socket.socket, pin: str, name: str) -> ssl.SSLSocket:
    """Speak TLS with whoever has the certificate of that SHA-256; names and authorities do not count."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        secured = context.wrap_socket(raw)
    except OSError as error:
        raise BoardError(f"no TLS there ({error.strerror or error})", name, _LOST) from None
    found = hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()
    if not hmac.compare_digest(found, pin.lower()):
        secured.close()
        raise board_fault(spec.ERROR_LINK_PIN, name, f"its SHA-256 is {found}")
    return secured
