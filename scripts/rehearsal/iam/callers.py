"""Who a request comes from, as its credentials say.

A rehearsal's access token is the e-mail of an account. The storage client sends none to an
emulator; it sends the user of the address instead, ``http://EMAIL:rehearsed@host`` with the ``@``
of the e-mail quoted. Whoever sends nothing is the operator, an owner of the project: the clients
that are pointed at a rehearsal have no credentials.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

OPERATOR = "operator@rehearsal.invalid"
PASSWORD = "rehearsed"  # noqa: S105  (of nobody)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")


class UnknownCallerError(ValueError):
    """Credentials that mean nobody: 401."""


def caller_of(authorization: str) -> str:
    """The e-mail of whoever sends a request.

    Args:
        authorization: the header of that name; empty where it has none.

    Raises:
        UnknownCallerError: the credentials are none of a rehearsal's.
    """
    if not authorization:
        return OPERATOR
    scheme, _, value = authorization.partition(" ")
    email = value.strip()
    if scheme.lower() == "basic":
        try:
            email = unquote(base64.b64decode(value).decode().partition(":")[0])
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UnknownCallerError(authorization) from error
    if not _EMAIL.fullmatch(email):
        raise UnknownCallerError(authorization)
    return email


def address_as(url: str, email: str) -> str:
    """The address by which the storage client calls as an account."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(email, safe='')}:{PASSWORD}@{host}"))
