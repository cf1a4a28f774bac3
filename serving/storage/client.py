"""The one client of Cloud Storage: its credentials, its retries, its errors.

The official client honours ``STORAGE_EMULATOR_HOST``. It retries what is worth retrying; writes
too, which it leaves alone by default: this project always gives a name the same content, so
writing twice is as good as once.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.api_core.retry import Retry
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.exceptions import RequestException

from serving.storage.errors import BucketError
from serving.storage.patience import Patience


@functools.cache
def storage_client() -> storage.Client:
    """Return the client of this process.

    Reading and writing objects needs no project, and a laptop with user credentials has none; so
    the client must not look for one.

    Raises:
        BucketError: this machine has no credentials.
    """
    try:
        return storage.Client(project=None)
    except DefaultCredentialsError as error:
        raise BucketError(
            "no Google Cloud credentials on this machine; run "
            "'gcloud auth application-default login', or use local folders"
        ) from error


def retry_policy(patience: Patience) -> Retry:
    """Retry 408, 429, 5xx and broken connections, with jitter, until the patience is over."""
    policy: Retry = DEFAULT_RETRY.with_timeout(patience.total_seconds)
    return policy.with_delay(initial=0.5, maximum=20.0)


@contextlib.contextmanager
def bucket_errors(uri: str) -> Iterator[None]:
    """Turn what the client raises into a BucketError that names the object."""
    try:
        yield
    except GoogleAPICallError as error:
        raise BucketError(f"{uri}: {error.message}", _failure(error.code)) from error
    except InvalidResponse as error:
        raise BucketError(f"{uri}: {error}", _failure(error.response.status_code)) from error
    except (RetryError, GoogleAuthError, RequestException, DataCorruption) as error:
        raise BucketError(f"{uri}: {error}") from error


def _failure(status: int | None) -> int | None:
    """The status of a failure; a success that the client refuses lacks something, as a checksum."""
    return status if status is not None and status >= 400 else None
