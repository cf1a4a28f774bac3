"""Clients of the storage stand-in, which calls as whoever a client is for."""

from __future__ import annotations

import functools
from typing import Any

from scripts.rehearsal.iam.callers import OPERATOR, address_as


class StorageClients:
    """Storage clients, one for each account.

    Args:
        address: of the storage stand-in.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.of = functools.cache(self._of)

    def own(self) -> Any:
        """The client by which the service reaches its own buckets, of which no policy speaks."""
        return self.of(OPERATOR)

    def _of(self, email: str) -> Any:
        """The client that calls as an account; a ``google.cloud.storage.Client``."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        address = self._address if email == OPERATOR else address_as(self._address, email)
        return storage.Client(
            project="rehearsal",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": address},
        )
