"""A board in a thread: stapes.service over a socket pair, its search following a script."""

import contextlib
import select
import socket
import threading

from stapes.service import Service
from stapes_tools.errors import BoardError


class SocketTransport:
    """The board's end."""

    prompt = False
    strict = False

    def __init__(self, end):
        self._end = end
        self._fresh = True

    def begins(self):
        fresh, self._fresh = self._fresh, False
        return fresh

    def readinto(self, buffer, wait_ms):
        if not select.select([self._end], [], [], None if wait_ms < 0 else wait_ms / 1000)[0]:
            return 0
        return self._end.recv_into(buffer) or -1

    def write(self, view):
        self._end.sendall(bytes(view))
        return len(view)

    def hang_up(self):
        pass


class BoardThread:
    """The host's end, a ByteStream, and the thread behind it.

    Args:
        model, grammar, kernels: for Service.
        damage: function bytes -> bytes applied to what the host sends.
    """

    name = "thread"

    def __init__(self, model, grammar, kernels, damage=lambda data: data):
        self._end, board = socket.socketpair()
        self._damage = damage
        service = Service(SocketTransport(board), model, grammar, kernels_module=kernels)

        def serve():
            with contextlib.suppress(OSError):  # the host may close first
                service.run()
            board.close()

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()

    def write(self, data):
        self._end.sendall(self._damage(data))

    def read(self, count, timeout_s):
        if not select.select([self._end], [], [], max(timeout_s, 0))[0]:
            return b""
        data = self._end.recv(count)
        if not data:
            raise BoardError("the board has gone", self.name)
        return data

    def close(self):
        self._end.close()
        self.thread.join(5)
