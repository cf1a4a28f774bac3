"""Buckets and objects in the storage stand-in, over its JSON API.

The provider starts several times in one deployment, so it makes the few calls that it needs itself:
importing the storage client takes longer than everything else it does.
API: https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

TIMEOUT_S = 10


class Objects:
    """The storage stand-in at one address.

    Args:
        address: e.g. ``http://127.0.0.1:4443``.
    """

    def __init__(self, address: str) -> None:
        if urllib.parse.urlsplit(address).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(f"{address} is not on this machine; the stand-in writes nowhere else")
        self._address = address.rstrip("/")

    def _call(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - loopback only, see above
            self._address + path, data=body, method=method
        )
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310
                text = reply.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return json.loads(text) if text.strip().startswith(b"{") else {}

    def create_bucket(self, bucket: str, project: str) -> None:
        """Make a bucket."""
        query = urllib.parse.urlencode({"project": project})
        self._call("POST", f"/storage/v1/b?{query}", json.dumps({"name": bucket}).encode())

    def delete_bucket(self, bucket: str) -> None:
        """Delete a bucket with everything in it, earlier versions too."""
        for name in self.names(bucket, ""):
            self.delete(bucket, name)
        for item in self.listed(bucket, "", versions=True):
            self.delete(bucket, str(item["name"]), str(item["generation"]))
        self._call("DELETE", f"/storage/v1/b/{bucket}")

    def has_bucket(self, bucket: str) -> bool:
        """Whether a bucket exists."""
        return self._call("GET", f"/storage/v1/b/{bucket}") is not None

    def listed(self, bucket: str, prefix: str, *, versions: bool = False) -> list[dict[str, Any]]:
        """The objects under a prefix, as the API shows them; earlier versions where asked for."""
        asked = {"prefix": prefix, **({"versions": "true"} if versions else {})}
        query = urllib.parse.urlencode(asked)
        listing = self._call("GET", f"/storage/v1/b/{bucket}/o?{query}") or {}
        return list(listing.get("items", []))

    def names(self, bucket: str, prefix: str) -> list[str]:
        """Names of the objects under a prefix."""
        return [str(item["name"]) for item in self.listed(bucket, prefix)]

    def put(self, bucket: str, name: str, content: bytes) -> None:
        """Write an object."""
        query = urllib.parse.urlencode({"uploadType": "media", "name": name})
        self._call("POST", f"/upload/storage/v1/b/{bucket}/o?{query}", content)

    def has(self, bucket: str, name: str) -> bool:
        """Whether an object exists."""
        quoted = urllib.parse.quote(name, safe="")
        return self._call("GET", f"/storage/v1/b/{bucket}/o/{quoted}") is not None

    def delete(self, bucket: str, name: str, generation: str = "") -> None:
        """Delete an object, or one version of it; one that is gone already is no error."""
        quoted = urllib.parse.quote(name, safe="")
        query = f"?generation={generation}" if generation else ""
        self._call("DELETE", f"/storage/v1/b/{bucket}/o/{quoted}{query}")
