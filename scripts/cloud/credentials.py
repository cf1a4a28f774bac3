"""The operator's credentials (Application Default Credentials), and the project that pays."""

from __future__ import annotations

import functools
from typing import Any

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


@functools.cache
def find_credentials(project_id: str) -> Any:
    """This machine's credentials.

    Vertex AI refuses a user's credentials without a quota project (403 "requires a quota
    project"), and a fresh 'gcloud auth application-default login' sets none. The deployed project
    pays then. A service account has its own project.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: there are none.
    """
    import google.auth
    from google.oauth2.credentials import Credentials

    credentials, _ = google.auth.default(scopes=SCOPES)
    if isinstance(credentials, Credentials) and not credentials.quota_project_id and project_id:
        return credentials.with_quota_project(project_id)
    return credentials


def access_token(project_id: str) -> str:
    """A token that is valid now.

    Raises:
        google.auth.exceptions.GoogleAuthError: no credentials, or Google does not accept them.
    """
    from google.auth.transport.requests import Request

    credentials = find_credentials(project_id)
    if not credentials.valid:
        credentials.refresh(Request())
    return str(credentials.token)
