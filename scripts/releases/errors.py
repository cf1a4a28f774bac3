"""Failures of a release that lie on the cloud's side."""

from __future__ import annotations

from scripts.cloud.google_errors import explain_google_error
from scripts.terminal.errors import CLOUD, OperatorError


def release_error(problem: str, error: Exception) -> OperatorError:
    """The error that an operator reads when Google refuses a step, or a step fails there."""
    explained = error if isinstance(error, OperatorError) else explain_google_error(error)
    if explained is not None:
        return OperatorError(f"{problem}: {explained}", hint=explained.hint, exit_code=CLOUD)
    return OperatorError(
        f"{problem}: {error}",
        hint="what served before serves still; fix it and run the same command again",
        exit_code=CLOUD,
    )
