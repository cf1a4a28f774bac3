"""The settings in ``cdktf.json``, where operators, colleagues and CI find the same ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.cloud.vertex_sdk import in_rehearsal
from scripts.local_files import write_whole

PROJECT_FILE = "cdktf.json"


def saved_settings(folder: Path) -> dict[str, Any]:
    """The settings that a folder's ``cdktf.json`` holds; none where it has no such file."""
    path = folder / PROJECT_FILE
    if not path.is_file():
        return {}
    return dict(json.loads(path.read_text("utf-8")).get("context", {}))


def save_setting(outputs: Path, project_id: str, name: str, value: str) -> str:
    """Write a setting into the ``context`` of the ``cdktf.json`` beside the deployment's outputs.

    Nothing is written in a rehearsal, whose images are not the real platform's, nor where the
    file is that of another project.

    Args:
        outputs: outputs of ``cdktf deploy``.
        project_id: the project of that deployment; saved too where the file names none.
        name: such as ``image``.
        value: its new value.

    Returns:
        A line for the operator: where it was saved, or what to do instead.
    """
    path = outputs.parent / PROJECT_FILE
    export = f"use it:  export SAM_{name.upper()}={value}"
    if in_rehearsal() or not path.is_file():
        return export
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    context: dict[str, Any] = document.setdefault("context", {})
    named = context.setdefault("project_id", project_id)
    if named != project_id:
        return f"not saved: {path} is about the project {named}; {export}"
    context[name] = value
    write_whole(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
    return f"saved as {name!r} in {path}; 'cdktf deploy' releases it"
