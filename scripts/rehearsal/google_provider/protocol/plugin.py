"""Serve gRPC the way Terraform starts a plugin: a handshake line, TLS with its own certificate.

Protocol: hashicorp/go-plugin, ``docs/internals.md`` and ``docs/guide-plugin-write-non-go.md``. Ours
rather than a library's: the only one pins an old ``cryptography`` for the whole environment, and
pads the certificate, which Terraform then cannot read in one start of a hundred.
"""

from __future__ import annotations

import base64
import concurrent.futures
import datetime
import os

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CORE_PROTOCOL, APP_PROTOCOL = 1, 6
WORKERS = 10  # Terraform applies as many resources at once
_SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse with status SERVING
_LIFETIME = datetime.timedelta(days=1)


def make_certificate() -> tuple[bytes, bytes]:
    """A new key and a certificate for ``localhost`` that it signed itself: PEM, DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, certificate.public_bytes(serialization.Encoding.DER)


def handshake(port: int, certificate: bytes) -> str:
    """The line by which Terraform finds the plugin. The certificate is base64 *without* padding."""
    encoded = base64.b64encode(certificate).decode("ascii").rstrip("=")
    return f"{CORE_PROTOCOL}|{APP_PROTOCOL}|tcp|127.0.0.1:{port}|grpc|{encoded}"


def _answering(service: str, method: str, answer: bytes) -> grpc.GenericRpcHandler:
    """A service of one method that always answers the same bytes."""
    handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)
    return grpc.method_handlers_generic_handler(service, {method: handler})


class PluginServer:
    """A gRPC server that Terraform can start, talk to, and leave.

    Attributes:
        server: the server; services are added to it before ``run``.
    """

    def __init__(self) -> None:
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=WORKERS))
        private, self._certificate = make_certificate()
        pem = x509.load_der_x509_certificate(self._certificate).public_bytes(
            serialization.Encoding.PEM
        )
        credentials = grpc.ssl_server_credentials([(private, pem)])
        self._port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.server.add_generic_rpc_handlers(
            (_answering("grpc.health.v1.Health", "Check", _SERVING),)
        )
        shutdown = grpc.unary_unary_rpc_method_handler(lambda _request, _context: self._shut_down())
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": shutdown}),)
        )

    def _shut_down(self) -> bytes:
        self.server.stop(grace=0.5)
        return b""

    def run(self) -> None:
        """Serve until Terraform asks to shut down, or has ended.

        Terraform kills the shell that started this process, and not this process itself; so it
        watches whether its parent changes.
        """
        parent = os.getppid()
        self.server.start()
        print(handshake(self._port, self._certificate), flush=True)
        while os.getppid() == parent:
            if not self.server.wait_for_termination(timeout=0.5):
                break
        self.server.stop(grace=None)
