"""The line by which Terraform finds the plugin."""

from __future__ import annotations

import base64

from scripts.rehearsal.google_provider.protocol.plugin import handshake


def test_handshake_is_read_by_terraform_whatever_the_certificates_length() -> None:
    """go-plugin decodes base64 without padding; a padded line fails in one start of a few."""
    for length in (300, 301, 302):
        line = handshake(4321, b"x" * length)
        assert line.startswith("1|6|tcp|127.0.0.1:4321|grpc|")
        encoded = line.rpartition("|")[2]
        assert "=" not in encoded
        assert base64.b64decode(encoded + "=" * (-len(encoded) % 4)) == b"x" * length
