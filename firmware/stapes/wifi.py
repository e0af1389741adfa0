"""Joining a wireless network: MicroPython's network.WLAN."""

import time

import stapes_spec as spec

from stapes.errors import StapesError

_TRY_MS = 20000
_POLL_MS = 100


def join(ssid, password, timeout_ms=_TRY_MS, wlan=None):
    """Join a network as a station.

    Args:
        ssid, password: str, from settings.json, never from code.
        timeout_ms: int.
        wlan: network.WLAN, for tests.
    Returns:
        str: the board's address.
    Raises:
        StapesError: it did not succeed in time, or the board has no radio.
    """
    if wlan is None:
        try:
            import network
        except ImportError:
            raise StapesError(spec.ERROR_WIFI, ssid, "this board has no network")
        wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    if not wlan.isconnected():
        wlan.connect(ssid, password)
    for _ in range(timeout_ms // _POLL_MS):
        if wlan.isconnected():
            return wlan.ifconfig()[0]
        time.sleep(_POLL_MS / 1000)
    raise StapesError(spec.ERROR_WIFI, ssid, "status %s after %d s" % (wlan.status(), timeout_ms // 1000))
