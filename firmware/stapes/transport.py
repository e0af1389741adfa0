"""What carries the link's bytes on a board: USB serial or a UART. sockets.py has TCP and TLS.

Every transport has
    begins() -> bool: a new stream to a host begins, once for each;
    readinto(buffer, wait_ms) -> bytes read, 0 if none came in time, -1 at the stream's end;
    write(view) -> bytes taken, 0 if there is no room now;
    drain(wait_ms) -> whether all that was taken has left, waiting at most so long for it;
    hang_up(): end this host's stream;
    close();
    blocks, bool: readinto waits until the buffer is full once the first byte has come: give it a block;
    prompt, bool: a human may type here;
    secure, bool, optionally: nobody on the way can change what is sent, so that frames need no seal: TLS;
    strict, bool: whoever sends no handshake in time, or nonsense, is hung up on.
"""

import sys

import stapes_spec as spec

from stapes.link.clock import elapsed, ticks_ms

try:
    from select import POLLIN, POLLOUT, poll

    import micropython
except ImportError:
    micropython = None

try:
    import stapes_usb as usb
except ImportError:
    usb = None

_BLOCK = spec.FRAME_BLOCK_BYTES


class StandardTransport:
    """Standard input and output: a board's USB serial, or what its prompt is on.

    Ctrl-C is a byte like any other while it is open. Our own images read USB in bulk (stapes_usb); elsewhere:

    Args:
        whole_blocks: bool, True waits for the rest of a block that has begun, which is faster: for a host
            that drives the board. False reads what is there, byte by byte, and never waits for more:
            for a board that has other things to do.
    """

    prompt = True  # what is not a frame may be somebody's Ctrl-C
    strict = False
    blocks = True

    def __init__(self, whole_blocks=False):
        self._whole_blocks = whole_blocks
        self._input = sys.stdin.buffer
        self._output = sys.stdout.buffer
        self._fresh = True
        self._in = self._out = None
        if micropython:
            self._in, self._out = poll(), poll()
            self._in.register(sys.stdin, POLLIN)
            self._out.register(sys.stdout, POLLOUT)
            micropython.kbd_intr(-1)
        if usb:
            self.blocks = False
            self.readinto, self.write, self.drain = usb.readinto, usb.write, usb.drain

    def begins(self):
        """Return True once: the stream is there from the begin."""
        fresh, self._fresh = self._fresh, False
        return fresh

    def readinto(self, buffer, wait_ms):
        """Read what has come; -1 waits for ever."""
        if self._in is None:
            return self._input.readinto(buffer) or -1
        if not self._in.poll(wait_ms):
            return 0
        if self._whole_blocks:
            return self._input.readinto(buffer) or -1
        count = 0
        while count < len(buffer):
            if not self._input.readinto(buffer[count : count + 1]):
                return count or -1
            count += 1
            if not self._in.poll(0):
                break
        return count

    def write(self, view):
        """Send at most a block, if there is room."""
        if self._out is None:
            self._output.write(view)
            self._output.flush()
            return len(view)
        if not self._whole_blocks and not self._out.poll(0):
            return 0
        part = view if self._whole_blocks else view[:_BLOCK]
        return self._output.write(part) or 0

    def drain(self, wait_ms):
        """Return True: what was written is out of our hands."""
        return True

    def hang_up(self):
        """Wait for the next host."""
        self._fresh = True

    def close(self):
        """Give Ctrl-C its meaning back."""
        if usb:
            usb.close()
        if micropython:
            micropython.kbd_intr(3)


class UartTransport:
    """A UART: machine.UART opened with timeout=0 and a buffer of a frame or two.

    uart = machine.UART(1, 921600, tx=Pin(4), rx=Pin(5), rxbuf=2048, txbuf=2048, timeout=0)

    Args:
        uart: has readinto(buffer) and write(buffer), which return None where nothing can be done now.
        room: function () -> bytes that write takes without waiting, or None where that is not known.
    """

    prompt = False
    strict = False  # noise on a wire is no stranger
    blocks = False

    def __init__(self, uart, room=None):
        self._uart = uart
        self._room = room
        self._fresh = True
        self._in = None
        if micropython:
            self._in = poll()
            self._in.register(uart, POLLIN)

    def begins(self):
        """Return True once: the stream is there from the begin."""
        fresh, self._fresh = self._fresh, False
        return fresh

    def readinto(self, buffer, wait_ms):
        """Read what has come; -1 waits for ever."""
        if wait_ms and self._in is not None and not self._in.poll(wait_ms):
            return 0
        return self._uart.readinto(buffer) or 0

    def write(self, view):
        """Send what there is room for."""
        if self._room is not None:
            view = view[: self._room()]
        return (self._uart.write(view) or 0) if len(view) else 0

    def drain(self, wait_ms):
        """Wait until the last byte is on the wire, where the UART can tell."""
        done = getattr(self._uart, "txdone", None)
        began = ticks_ms()
        while done is not None and not done():
            if elapsed(ticks_ms(), began) >= wait_ms:
                return False
        return True

    def hang_up(self):
        """Wait for the next host."""
        self._fresh = True

    def close(self):
        """Leave the UART open: it is its owner's."""
