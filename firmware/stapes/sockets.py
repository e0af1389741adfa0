"""The link over TCP or TLS on a board that has a network: MicroPython's socket and tls modules."""

import socket
from select import POLLIN, poll

import stapes_spec as spec

from stapes.errors import StapesError


class SocketTransport:
    """Waits for hosts, one at a time. See transport.py for the methods.

    Whoever connects has handshake_ms to prove that he knows the device key.
    A TLS handshake is paid in pieces, but its elliptic curve takes an RP2040 a second or more, in which a
    microphone without a ring of that length loses sound: an OVERRUN event says so.

    Args:
        port: int.
        certificate, private_key: bytes (DER) for TLS, or None for TCP.
        address: str, "127.0.0.1" keeps other machines out.
    Raises:
        StapesError: the certificate is none (settings).
        OSError: the port is taken.
    """

    prompt = False
    strict = True

    def __init__(self, port=spec.LINK_PORT, certificate=None, private_key=None, address="0.0.0.0"):
        self._context = _server_context(certificate, private_key) if certificate else None
        self.secure = self._context is not None
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.bind(socket.getaddrinfo(address, port)[0][-1])
        self._server.listen(1)
        self._server.setblocking(False)
        self._host = None
        self._raw = None
        self._poll = poll()
        self._poll.register(self._server, POLLIN)

    def begins(self):
        """Take the next host, if none is there."""
        if self._host is not None:
            return False
        try:
            self._raw, _ = self._server.accept()
        except OSError:
            return False
        self._raw.setblocking(False)
        self._host = self._raw
        if self._context:
            try:
                self._host = self._context.wrap_socket(self._raw, server_side=True, do_handshake_on_connect=False)
            except OSError:
                self.hang_up()
                return False
        self._poll = poll()
        self._poll.register(self._host, POLLIN)
        return True

    def readinto(self, buffer, wait_ms):
        """Read what has come."""
        if wait_ms and not self._poll.poll(wait_ms):
            return 0
        if self._host is None:
            return 0
        try:
            count = self._host.readinto(buffer)
        except OSError:
            return -1
        return 0 if count is None else count or -1

    def write(self, view):
        """Send what there is room for; -1 when the host has gone."""
        if self._host is None:
            return -1
        try:
            return self._host.write(view) or 0
        except OSError:
            return -1

    def drain(self, wait_ms):
        """Return True: the network has it."""
        return True

    def hang_up(self):
        """Close the host's connection and wait for the next."""
        for end in (self._host, self._raw):
            try:
                if end is not None:
                    end.close()
            except OSError:
                pass
        if self._host is not None or self._raw is not None:
            self._poll = poll()
            self._poll.register(self._server, POLLIN)
        self._host = self._raw = None

    def close(self):
        """Wait for nobody any more."""
        self.hang_up()
        self._server.close()


def _server_context(certificate, private_key):
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, private_key)
    except (OSError, ValueError) as error:
        raise StapesError(spec.ERROR_SETTINGS, "certificate", str(error))
    return context
