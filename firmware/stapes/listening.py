"""The recogniser's events, for a `for` loop, for `async for`, and for functions."""

from array import array

import stapes_spec as spec

from stapes.listener import Listener

_CHUNK = spec.FRONTEND_STEP_SAMPLES  # so many samples complete at most one step


class Events:
    """What is common to everything that raises events.

    A subclass has _advance() -> False at the end, _take() -> Event or None, and _advance_async().
    """

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            event = self._take()
            if event is not None:
                return event
            if not self._advance():
                raise StopIteration

    def __aiter__(self):
        return self

    async def __anext__(self):
        while True:
            event = self._take()
            if event is not None:
                return event
            if not await self._advance_async():
                raise StopAsyncIteration

    async def _advance_async(self):
        from asyncio import sleep  # takes memory: only those who want it pay

        await sleep(0)  # others may run between two steps
        return self._advance()

    def run(self, *functions):
        """Call functions with each event, until the sound ends.

        Args:
            functions: each is called with an Event; a Downstream's feed is one.
        """
        for event in self:
            for function in functions:
                function(event)


class Listening(Events):
    """Listens to a microphone until it delivers no more.

    Steps without news allocate nothing.

    Args:
        recognizer: Recognizer.
        microphone: has readinto(array int16 [n]) -> samples, 0 at the end; optionally
            `async readinto_async` of the same kind, `lost`, samples lost so far, and take_fault() -> the
            StapesError found in what was read, or None.
        endpointer: see Listener.
    """

    def __init__(self, recognizer, microphone, endpointer=None):
        self._listener = Listener(recognizer, endpointer=endpointer)
        self._microphone = microphone
        self._chunk = array("h", [0] * _CHUNK)
        self._lost = 0

    def _take(self):
        return self._listener.take() if self._listener.waiting else None

    def _advance(self):
        return not self._listener.over and self._accept(self._microphone.readinto(self._chunk))

    async def _advance_async(self):
        if self._listener.over or not hasattr(self._microphone, "readinto_async"):
            return await super()._advance_async()
        return self._accept(await self._microphone.readinto_async(self._chunk))

    def _accept(self, count):
        hear(self._listener, self._chunk, count, self._new_loss(), fault_of(self._microphone))
        return True

    def _new_loss(self):
        before, self._lost = self._lost, getattr(self._microphone, "lost", 0)
        return self._lost - before


def fault_of(microphone):
    """Return the StapesError that a microphone has found in what it hears, or None."""
    take = getattr(microphone, "take_fault", None)
    return take() if take else None


def hear(listener, chunk, count, lost, fault=None):
    """Pass on what a microphone delivered.

    Args:
        listener: Listener.
        chunk: array int16; count of its samples are new, 0 at the end of the sound.
        lost: int, samples lost before them.
        fault: StapesError, what is wrong with the sound; it is heard all the same.
    """
    if fault:
        listener.fault(fault)
    if lost:
        listener.overrun(lost)
    if count == 0:
        listener.finish()
    elif count == len(chunk):
        listener.accept(chunk, count)
    else:
        listener.accept(chunk[:count], count)
