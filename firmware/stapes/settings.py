"""What is not code: the wireless network's name, the device key, the certificate. See docs/link.md.

settings.json: {"wifi": {"ssid", "password"}, "link": {"port", "key", "certificate", "private_key"}}; the last
two name files (DER) on the board, and may be left out together: TCP instead of TLS.
"""

import json

import stapes_spec as spec

from stapes.errors import StapesError
from stapes.link import secrets
from stapes.storage import file_bytes

PATH = "/settings.json"


class Settings:
    """The contents of settings.json.

    Args:
        path: str.
    Raises:
        StapesError: the file is missing, is no JSON, or a field of it is wrong.

    Attributes:
        wifi: dict with ssid and password, or None.
        port: int.
        key: bytes, or None.
        certificate, private_key: bytes (DER), or None.
    """

    def __init__(self, path=PATH):
        self._where = path
        data = self._object(bytes(file_bytes(path)))
        link = self._part(data, "link") or {}
        self.wifi = self._part(data, "wifi")
        if self.wifi is not None and not ("ssid" in self.wifi and "password" in self.wifi):
            raise self._wrong("wifi needs ssid and password")
        self.port = link.get("port", spec.LINK_PORT)
        self.key = self._key(link.get("key"))
        self.certificate = self._file(link.get("certificate"))
        self.private_key = self._file(link.get("private_key"))
        if (self.certificate is None) != (self.private_key is None):
            raise self._wrong("certificate and private_key belong together")

    def _wrong(self, detail):
        return StapesError(spec.ERROR_SETTINGS, self._where, detail)

    def _object(self, text):
        try:
            found = json.loads(text.decode())
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._wrong("no JSON object")
        return found

    def _part(self, data, name):
        part = data.get(name)
        if part is not None and not isinstance(part, dict):
            raise self._wrong(name + " is no object")
        return part

    def _key(self, text):
        if text is None:
            return None
        try:
            return secrets.key_from_hex(text)
        except (ValueError, TypeError, AttributeError) as error:
            raise self._wrong(str(error))

    def _file(self, name):
        return None if name is None else bytes(file_bytes(name))
