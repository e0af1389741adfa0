"""A board in a thread: stapes.service over a socket pair, its search following a script."""

import contextlib
import select
import socket
import threading

from stapes.service import Service
from stapes_tools.errors import BoardError


class SocketStream:
    """The board's end: reads block until the buffer is full, as standard input does."""

    def __init__(self, end):
        self._end = end

    def readinto(self, buffer):
        got = 0
        while got < len(buffer):
            count = self._end.recv_into(buffer[got:])
            if count == 0:
                return got
            got += count
        return got

    def write(self, data):
        self._end.sendall(bytes(data))


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
        service = Service(SocketStream(board), model, grammar, kernels_module=kernels)

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
