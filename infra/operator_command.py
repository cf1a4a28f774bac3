"""The operator's own command, which Terraform calls for what the provider has no resource for."""

from __future__ import annotations


def sam_vertex(arguments: str) -> str:
    """A line of shell for a provisioner, which starts in the stack's folder.

    It runs the command of the project's own environment, or else whichever is on PATH.

    Args:
        arguments: what follows ``sam-vertex``.
    """
    return f'PATH="$PWD/../../../.venv/bin:$PATH" sam-vertex {arguments}'
