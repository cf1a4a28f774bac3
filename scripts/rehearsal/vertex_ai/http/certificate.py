"""Certificates of the names of dedicated endpoints, which clients reach by https only."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ENDPOINTS = ".prediction.vertexai.goog"  # what the names of dedicated endpoints end with


class Certificates:
    """A certificate for loopback, and one for each endpoint's own name that somebody asks for.

    The first is an authority for the others; clients trust it by ``REQUESTS_CA_BUNDLE`` and
    ``CURL_CA_BUNDLE``. All are good for a week.

    Args:
        folder: where they are written.

    Attributes:
        certificate: the path of the certificate for loopback.
        key: the path of its key.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate, self.key = folder / "vertex.pem", folder / "vertex.key"
        self._private = ec.generate_private_key(ec.SECP256R1())
        loopback = ipaddress.ip_address("127.0.0.1")
        self._write([x509.DNSName("localhost"), x509.IPAddress(loopback)], self.certificate)
        self.key.touch(mode=0o600)
        self.key.write_bytes(
            self._private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def answer_to_names(self, context: ssl.SSLContext) -> None:
        """Let a server's context show the certificate of the endpoint that a client asks for."""

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name and name.endswith(ENDPOINTS):
                connection.context = self._context(name)

        context.sni_callback = choose

    @functools.cache  # noqa: B019  (one object, as long as its process)
    def _context(self, name: str) -> ssl.SSLContext:
        path = self._folder / "vertex-endpoint.pem"
        self._write([x509.DNSName(name)], path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path, self.key)
        path.unlink()
        return context

    def _write(self, names: list[x509.GeneralName], path: Path) -> None:
        authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rehearsed Vertex AI")])
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rehearsed endpoint")])
        is_authority = path == self.certificate
        begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(authority if is_authority else own)
            .issuer_name(authority)
            .public_key(self._private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + datetime.timedelta(days=7))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None),
                critical=True,
            )
            .sign(self._private, hashes.SHA256())
        )
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
