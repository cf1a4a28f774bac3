"""The files of an image, copied as a container engine would by COPY lines and ``.dockerignore``.

Nothing is installed and nothing is run: the rehearsal uses the environment it runs in.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import shutil
from pathlib import Path, PurePosixPath


class ImageTreeError(Exception):
    """The Dockerfile or its context cannot be used."""


def ignore_rules(context: Path) -> list[tuple[bool, str]]:
    """The rules of ``.dockerignore`` in order: whether a rule excludes, and its pattern.

    https://docs.docker.com/build/concepts/context/#dockerignore-files
    """
    path = context / ".dockerignore"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    # Not pathspec, which reads the rules of git: there a name without a slash matches in every
    # folder, and an excluded folder keeps what is in it excluded.
    rules = []
    for line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            rules.append((not text.startswith("!"), text.lstrip("!").strip("/")))
    return rules


def _matches(path: PurePosixPath, pattern: str) -> bool:
    """Whether a pattern means a file or a folder that it lies in."""
    for candidate in (path, *path.parents):
        text = str(candidate)
        if text == ".":
            continue
        if pattern.startswith("**/"):
            if fnmatch.fnmatchcase(candidate.name, pattern[3:]):
                return True
        elif len(candidate.parts) == len(PurePosixPath(pattern).parts):
            parts = zip(candidate.parts, PurePosixPath(pattern).parts, strict=True)
            if all(fnmatch.fnmatchcase(name, glob) for name, glob in parts):
                return True
    return False


def is_ignored(path: PurePosixPath, rules: list[tuple[bool, str]]) -> bool:
    """Whether a file stays out of the build context; the last rule that matches decides."""
    ignored = False
    for excludes, pattern in rules:
        if _matches(path, pattern):
            ignored = excludes
    return ignored


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile: keyword and arguments, continued lines as one."""
    joined = dockerfile.read_text("utf-8").replace("\\\n", " ")
    pairs = []
    for line in joined.splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            keyword, _, arguments = text.partition(" ")
            pairs.append((keyword.upper(), arguments.strip()))
    return pairs


def stage_instructions(dockerfile: Path, stage: str = "") -> list[tuple[str, str]]:
    """The instructions that make one stage: its own, after those of the stage it is made from.

    Args:
        dockerfile: its path.
        stage: its name after AS; empty for the last one.

    Raises:
        ImageTreeError: there is no such stage.
    """
    stages: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for keyword, arguments in instructions(dockerfile):
        if keyword == "FROM":
            base, _, name = arguments.partition(" AS ")
            current = [*stages.get(base, [])]
            stages[name.strip() or str(len(stages))] = current
        current.append((keyword, arguments))
    if stage not in stages and (stage or not stages):
        raise ImageTreeError(f"{dockerfile}: target stage {stage} could not be found")
    return stages[stage] if stage else current


def entrypoint(dockerfile: Path, stage: str = "") -> list[str]:
    """The command of the last ENTRYPOINT of a stage.

    Raises:
        ImageTreeError: there is none.
    """
    for keyword, arguments in reversed(stage_instructions(dockerfile, stage)):
        if keyword == "ENTRYPOINT":
            command: list[str] = json.loads(arguments)
            return command
    raise ImageTreeError(f"{dockerfile}: no ENTRYPOINT")


def assemble(context: Path, dockerfile: Path, target: Path, stage: str = "") -> str:
    """Copy what the image's working directory holds to ``target``.

    Args:
        context: the folder that the Dockerfile copies from.
        dockerfile: its path.
        target: an empty folder.
        stage: whose files; empty for the last one.

    Returns:
        ``sha256:`` digest of the Dockerfile, the stage and every file with its name: the same tree
        gives the same digest.

    Raises:
        ImageTreeError: a COPY names nothing.
    """
    rules = ignore_rules(context)
    digest = hashlib.sha256(dockerfile.read_bytes() + stage.encode())
    copied: dict[str, Path] = {}
    for keyword, arguments in stage_instructions(dockerfile, stage):
        if keyword != "COPY":
            continue
        source, destination = arguments.split()
        start = context / source
        files = [start] if start.is_file() else sorted(p for p in start.rglob("*") if p.is_file())
        if not files:
            raise ImageTreeError(f"{dockerfile}: COPY {source}: nothing there")
        for file in files:
            if not is_ignored(PurePosixPath(file.relative_to(context).as_posix()), rules):
                inside = file.relative_to(start).as_posix() if file != start else ""
                copied[str(PurePosixPath(destination, inside))] = file
    for name in sorted(copied):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copied[name], path)
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return "sha256:" + digest.hexdigest()
