"""What proves who a board is: a device key, and a certificate of its own for TLS."""

import datetime
import hashlib
import json
import os
import secrets
from pathlib import Path

import stapes_spec as spec

from ..errors import UserError

KEY, CERTIFICATE, PRIVATE_KEY, SETTINGS = "device.key", "certificate.der", "private_key.der", "settings.json"
_DAYS = 3650


def new_keys(folder: Path, name: str = "stapes") -> str:
    """Write a device key, a self-signed P-256 certificate and a settings.json that names them.

    Args:
        folder: made if it is not there; nothing in it is overwritten.
        name: the certificate's common name.
    Returns:
        str: the certificate's pin.
    Raises:
        UserError: there are keys already, or the folder cannot be written.
    """
    key = secrets.token_bytes(spec.LINK_KEY_BYTES).hex()
    certificate, private_key = _certificate(name)
    link = {"port": spec.LINK_PORT, "key": key, "certificate": CERTIFICATE, "private_key": PRIVATE_KEY}
    settings = {"wifi": {"ssid": "", "password": ""}, "link": link}
    files = {
        KEY: key.encode() + b"\n",
        CERTIFICATE: certificate,
        PRIVATE_KEY: private_key,
        SETTINGS: json.dumps(settings, indent=2).encode() + b"\n",
    }
    for file in files:
        if (folder / file).exists():
            raise UserError("there are keys already", folder / file, "name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, contents in files.items():
            _write_private(folder / file, contents)
    except OSError as error:
        raise UserError(error.strerror or str(error), folder, "name another folder") from None
    return hashlib.sha256(certificate).hexdigest()


def pin_of(folder: Path) -> str:
    """Return the SHA-256 of the certificate in a folder: what tls:// addresses pin.

    Raises:
        UserError: there is none.
    """
    try:
        return hashlib.sha256((folder / CERTIFICATE).read_bytes()).hexdigest()
    except OSError as error:
        advice = "make one with `stapes keys new`"
        raise UserError(error.strerror or str(error), folder / CERTIFICATE, advice) from None


def _write_private(path: Path, contents: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(contents)


def _certificate(name: str) -> tuple[bytes, bytes]:
    """A self-signed certificate and its private key, both DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .sign(private, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.DER),
        private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ),
    )
