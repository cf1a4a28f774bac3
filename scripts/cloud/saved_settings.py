"""The settings in ``cdktf.json``, where operators, colleagues and CI find the same ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from scripts.cloud.vertex_sdk import in_rehearsal
from scripts.local_files import write_whole

PROJECT_FILE = "cdktf.json"
WORLD_VARIABLE = "SAM_REHEARSAL_WORLD"  # names a file in the folder of a local cloud
SAVED_SETTINGS = "settings.json"  # in that folder: what a rehearsal saves, by project


def saved_settings(folder: Path) -> dict[str, Any]:
    """The settings that a folder's ``cdktf.json`` holds; none where it has no such file."""
    path = folder / PROJECT_FILE
    if not path.is_file():
        return {}
    return dict(json.loads(path.read_text("utf-8")).get("context", {}))


def save_setting(outputs: Path, project_id: str, name: str, value: str) -> str:
    """Write a setting into the ``context`` of the ``cdktf.json`` beside the deployment's outputs.

    A rehearsal, whose images are not the real platform's, saves it in its own folder, where
    ``infra.main`` finds it. Nothing is written where the file is that of another project.

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
    if in_rehearsal():
        return _save_in_rehearsal(project_id, name, value) or export
    if not path.is_file():
        return export
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    context: dict[str, Any] = document.setdefault("context", {})
    named = context.setdefault("project_id", project_id)
    if named != project_id:
        return f"not saved: {path} is about the project {named}; {export}"
    context[name] = value
    write_whole(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
    return f"saved as {name!r} in {path}; 'cdktf deploy' releases it"


def _save_in_rehearsal(project_id: str, name: str, value: str) -> str:
    """A line for the operator; empty where this shell knows of no folder of a local cloud."""
    world = os.environ.get(WORLD_VARIABLE)
    if not world:
        return ""
    path = Path(world).parent / SAVED_SETTINGS
    saved: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    saved.setdefault(project_id, {})[name] = value
    write_whole(path, (json.dumps(saved, indent=2) + "\n").encode())
    return f"saved as {name!r} of this rehearsal; 'cdktf deploy' in it releases it"
