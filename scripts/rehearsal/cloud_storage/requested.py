"""What a request to the JSON API asks for: which permissions, on which objects.

Permissions of each method: https://docs.cloud.google.com/storage/docs/access-control/iam-json.
"""

from __future__ import annotations

import dataclasses
import json
import re
from urllib.parse import parse_qs, unquote, urlsplit

_API = re.compile(r"/(?:download/|upload/)?storage/v1(/.*)?")
_COPY = re.compile(r"/b/([^/]+)/o/([^/]+)/(?:copyTo|rewriteTo)/b/([^/]+)/o/([^/]+)")
_COMPOSE = re.compile(r"/b/([^/]+)/o/([^/]+)/compose")
_OBJECT = re.compile(r"/b/([^/]+)/o/([^/]+)")
_OBJECTS = re.compile(r"/b/([^/]+)/o/?")
_BUCKET = re.compile(r"/b/([^/]+)/?")
_BUCKETS = re.compile(r"/b/?")
_VERBS = {"GET": "get", "HEAD": "get", "DELETE": "delete", "PATCH": "update", "PUT": "update"}


@dataclasses.dataclass(frozen=True, slots=True)
class Need:
    """One permission that a request needs.

    Attributes:
        permission: such as ``storage.objects.get``.
        bucket: name of the bucket; of a bucket to be made, empty.
        name: of the object, or the prefix of a listing; empty for the bucket itself.
        project: where a bucket is to be made, or whose buckets are listed.
    """

    permission: str
    bucket: str = ""
    name: str = ""
    project: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Requested:
    """What a request asks for.

    Attributes:
        needs: what the caller must be allowed.
        written: bucket and name of the object that it makes or overwrites.
        deleted: bucket and name of the object that it deletes.
        deleted_bucket: the bucket that it deletes.
        lists: bucket and prefix of a listing of objects.
        session: id of the resumable upload that it goes on with.
        begins_session: whether it only begins a resumable upload.
        query: the address's arguments.
    """

    needs: tuple[Need, ...] = ()
    written: tuple[str, str] | None = None
    deleted: tuple[str, str] | None = None
    deleted_bucket: str = ""
    lists: tuple[str, str] | None = None
    session: str = ""
    begins_session: bool = False
    query: dict[str, str] = dataclasses.field(default_factory=dict)


class UnknownRequestError(ValueError):
    """A request of which nobody knows what it asks for; it is refused."""


def read_request(method: str, target: str, content_type: str, body: bytes) -> Requested:
    """What a request asks for.

    Args:
        method: of HTTP.
        target: path and query, as sent.
        content_type: of the body.
        body: whole; an upload says its object's name in its first part.

    Raises:
        UnknownRequestError: none of the JSON API's methods that this project's clients use.
    """
    parts = urlsplit(target)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    if session := session_of(target):
        # The address of a session is the right to write to it
        # (docs.cloud.google.com/storage/docs/resumable-uploads#session-uris).
        return Requested(session=session, query=query)
    match = _API.fullmatch(parts.path)
    if match is None:
        raise UnknownRequestError(f"{method} {parts.path}")
    path = match[1] or "/"
    if parts.path.startswith("/upload/"):
        return _upload(method, path, query, content_type, body)
    if _BUCKETS.fullmatch(path):
        verb = "create" if method == "POST" else "list"
        return Requested((Need(f"storage.buckets.{verb}", project=query.get("project", "")),))
    if bucket := _BUCKET.fullmatch(path):
        name = unquote(bucket[1])
        need = Need(f"storage.buckets.{_verb(method, path)}", name)
        return Requested((need,), deleted_bucket=name if method == "DELETE" else "", query=query)
    if copy := _COPY.fullmatch(path):
        source, target_name = _pair(copy[1], copy[2]), _pair(copy[3], copy[4])
        needs = (Need("storage.objects.get", *source), Need("storage.objects.create", *target_name))
        return Requested(needs, written=target_name, query=query)
    if composed := _COMPOSE.fullmatch(path):
        return _compose(_pair(composed[1], composed[2]), query, body)
    if objects := _OBJECTS.fullmatch(path):
        listed = (unquote(objects[1]), query.get("prefix", ""))
        return Requested((Need("storage.objects.list", *listed),), lists=listed, query=query)
    if one := _OBJECT.fullmatch(path):
        pair = _pair(one[1], one[2])
        deleted = pair if method == "DELETE" else None
        need = Need(f"storage.objects.{_verb(method, path)}", *pair)
        return Requested((need,), deleted=deleted, query=query)
    raise UnknownRequestError(f"{method} {parts.path}")


def session_of(address: str) -> str:
    """The id of the resumable upload whose address this is; empty for any other."""
    parts = urlsplit(address)
    if parts.path.startswith("/upload/resumable/"):
        return parts.path.rpartition("/")[2]
    if not parts.path.startswith("/upload/"):
        return ""
    return parse_qs(parts.query).get("upload_id", [""])[0]


def _upload(
    method: str, path: str, query: dict[str, str], content_type: str, body: bytes
) -> Requested:
    match = _OBJECTS.fullmatch(path)
    if match is None:
        raise UnknownRequestError(f"{method} /upload{path}")
    name = query.get("name") or _name_in(content_type, body)
    pair = (unquote(match[1]), name)
    needs = (Need("storage.objects.create", *pair),)
    begins = query.get("uploadType") == "resumable"
    return Requested(needs, written=pair, begins_session=begins, query=query)


def _name_in(content_type: str, body: bytes) -> str:
    """The object's name in the metadata of an upload: its body, or the first part of it."""
    text = body
    if content_type.startswith("multipart/"):
        start = body.find(b"\r\n\r\n")
        text = body[start + 4 : body.find(b"\r\n--", start)]
    try:
        return str(json.loads(text)["name"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnknownRequestError("an upload without the name of its object") from error


def _compose(target: tuple[str, str], query: dict[str, str], body: bytes) -> Requested:
    sources = [str(source["name"]) for source in json.loads(body or b"{}")["sourceObjects"]]
    reads = tuple(Need("storage.objects.get", target[0], name) for name in sources)
    return Requested((*reads, Need("storage.objects.create", *target)), written=target, query=query)


def _pair(bucket: str, name: str) -> tuple[str, str]:
    return unquote(bucket), unquote(name)


def _verb(method: str, path: str) -> str:
    if method not in _VERBS:
        raise UnknownRequestError(f"{method} {path}")
    return _VERBS[method]
