"""A board that hears its own microphone once a host asks for it."""

from stapes.microphone import Microphone
from stapes.recognizer import Recognizer
from stapes.station import Station
from stapes.transport import StandardTransport


def main(model, grammar):
    """Serve standard input and output until interrupted; the command to start begins to listen.

    Args:
        model, grammar: str, paths on the board.
    """
    transport = StandardTransport()
    microphone = Microphone.from_board()
    station = Station(Recognizer(model, grammar=grammar), microphone, transport)
    station.server.wanted = False
    try:
        station.run()
    finally:
        microphone.close()
        transport.close()
