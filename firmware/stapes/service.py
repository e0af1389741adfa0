"""A board that a host drives: the host sends recordings, the board answers with events."""

from stapes.link.board_end import BoardLink
from stapes.link.clock import elapsed
from stapes.link.link import CLOSED, IDLE
from stapes.server import Server, ticks_ms
from stapes.trace import TracedRecognizer
from stapes.transport import StandardTransport

_IDLE_MS = 60000
_EVER = 0x3FFFFFFF


class Service:
    """One host's session.

    Args:
        transport: see transport.py.
        model, grammar: str, paths on the board.
        kernels_module: for tests; by default the fastest there is.
        idle_ms: int, ends when the host is silent for so long, so that a board whose host has gone returns
            to its prompt; -1 waits for ever: an emulated board's clock runs ahead of its host's when idle.
    """

    def __init__(self, transport, model, grammar, kernels_module=None, idle_ms=_IDLE_MS):
        self._idle_ms = _EVER if idle_ms < 0 else idle_ms
        link = BoardLink(self._about, silence_ms=self._idle_ms)
        self._server = Server(link, transport, lambda: TracedRecognizer(model, grammar=grammar, kernels=kernels_module))

    def _about(self):
        return self._server.about()

    def run(self):
        """Serve until the host says goodbye, hangs up or falls silent."""
        link = self._server.link
        began = ticks_ms()
        self._server.poll()
        while link.state != CLOSED:
            wait_ms = link.due_ms(ticks_ms())
            self._server.poll(wait_ms)
            if link.state == IDLE and elapsed(ticks_ms(), began) >= self._idle_ms:
                return  # nobody has ever come


def main(model, grammar, idle_ms=_IDLE_MS, transport=None):
    """Serve standard input and output: what the host starts on a board.

    Args:
        model, grammar: str, paths on the board.
        idle_ms: int, see Service.
        transport: see transport.py, to serve another.
    """
    transport = transport or StandardTransport(whole_blocks=True)
    try:
        Service(transport, model, grammar, idle_ms=idle_ms).run()
    finally:
        transport.close()
