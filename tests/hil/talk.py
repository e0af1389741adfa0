"""A host at the link of a device that listens: waits for events, gives commands."""

import json
import struct
import time

import stapes_spec as spec
from stapes.link import event_codec
from stapes_tools.device.client import Client
from stapes_tools.errors import BoardError

_POLL_S = 0.5


class Talk:
    """One connection. Use it in a `with` statement.

    Args:
        device: Device.
        stream: ByteStream; by default the device's.

    Attributes:
        about: dict, what the device says of itself.
        events: list of Event, all that came.
    """

    def __init__(self, device, stream=None):
        self._slowness = device.slowness
        self._client = Client(device.name, None, device.slowness)
        self._client.attach(stream or device.stream())
        self.about = self._client.connect(15 * self._slowness)
        self.events = []
        self.replies = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.close()

    def command(self, code, order=None):
        """Send a command."""
        message = struct.pack(spec.COMMAND_STRUCT, code, 0, 0) + json.dumps(order or {}).encode()
        self._client.link.send(spec.FRAME_TYPE_COMMAND, message)

    def wait(self, wanted, seconds=10.0):
        """Return the first event for which wanted(event) is true, of those that have come or will.

        Raises:
            BoardError: none came in so many seconds of the device.
        """
        seen = 0
        deadline = time.monotonic() + seconds * self._slowness
        while True:
            for event in self.events[seen:]:
                if wanted(event):
                    return event
            seen = len(self.events)
            if time.monotonic() > deadline:
                raise BoardError(f"no such event came; these did: {self.events}")
            self._pump()

    def error(self, code, seconds=10.0):
        """Wait for the ERROR event with a code and return its error."""
        return self.wait(lambda event: event.error is not None and event.error.code == code, seconds).error

    def reply(self, code, seconds=10.0):
        """Wait for the reply to a command: (failed, object)."""
        deadline = time.monotonic() + seconds * self._slowness
        while True:
            for found, failed, answer in self.replies:
                if found == code:
                    return failed, answer
            if time.monotonic() > deadline:
                raise BoardError("no reply came")
            self._pump()

    def _pump(self):
        for kind, payload in self._client.pump(_POLL_S):
            if kind in (spec.FRAME_TYPE_EVENT, spec.FRAME_TYPE_NEWS):
                self.events.append(event_codec.decode(payload))
            elif kind == spec.FRAME_TYPE_REPLY:
                answer = json.loads(payload[spec.COMMAND_BYTES :])
                self.replies.append((payload[0], payload[1], answer))
