"""What the server writes to a bucket, and what the client reads when Cloud Storage is at fault."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from google.api_core.exceptions import from_http_status
from google.cloud.storage.exceptions import InvalidResponse

from serving.errors import RequestError, Unavailable
from serving.object_access import _refusals, read_object, write_object
from serving.storage import BucketError
from serving.storage.client import bucket_errors


def test_an_object_that_the_client_sends_in_parts_is_written(bucket: Callable[[str], str]) -> None:
    """Beyond 8 MiB the client asks for a resumable upload and compares checksums at its end."""
    content = bytes(range(256)) * 40_000
    write_object(bucket("out/large.json"), content, "instances[0]")
    assert read_object(bucket("out/large.json"), 20_000_000, "instances[0]") == content


def _answered_200(by_api: bool) -> Exception:
    """What the client raises where the answer to an upload has no checksum."""
    response = requests.Response()
    response.status_code = 200
    message = "Response metadata had no ``crc32c`` value"
    error: Exception = InvalidResponse(response, message)
    if by_api:
        error = from_http_status(200, message)
    return error


@pytest.mark.parametrize("by_api", [True, False], ids=["upload", "download"])
def test_a_success_without_checksum_is_not_called_an_answer_of_200(by_api: bool) -> None:
    """The client refuses it; the object may lie there, so asking again is right."""
    with pytest.raises(BucketError) as raised, bucket_errors("gs://b/a"):
        raise _answered_200(by_api)
    assert raised.value.status is None
    with (
        pytest.raises(Unavailable, match="no answer that can be used"),
        _refusals("gs://b/a", "instances[0]", "written"),
    ):
        raise raised.value


@pytest.mark.parametrize(
    ("status", "kind"), [(403, RequestError), (404, RequestError), (429, Unavailable),
                         (503, Unavailable)]
)  # fmt: skip
def test_a_refusal_says_whose_fault_it_is(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=str(status)), _refusals("gs://b/a", "instances[0]", "read"):
        raise BucketError("gs://b/a: no", status)


def test_an_object_of_somebody_is_never_replaced(bucket: Callable[[str], str]) -> None:
    """The same again is no fault: a request that is repeated has written it already."""
    uri = bucket("out/mine.json")
    write_object(uri, b"mine", "instances[0]")
    write_object(uri, b"mine", "instances[0]")
    with pytest.raises(RequestError, match="exists already") as refused:
        write_object(uri, b"yours", "instances[0]")
    assert refused.value.status_code == 409
    assert read_object(uri, 100, "test") == b"mine"
