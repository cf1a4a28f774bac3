"""The tree of an image, assembled as a container engine would: COPY lines and the allow-list.

Nothing is installed and nothing is run: the rehearsal uses the environment it runs in.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import shutil
from pathlib import Path, PurePosixPath


class ImageError(Exception):
    """The Dockerfile or its context cannot be used."""


def ignore_rules(context: Path) -> list[tuple[bool, str]]:
    """The rules of ``.dockerignore``, in order: whether it excludes, and its pattern.

    https://docs.docker.com/build/concepts/context/#dockerignore-files
    """
    path = context / ".dockerignore"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    rules = []
    for line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            rules.append((not text.startswith("!"), text.lstrip("!").strip("/")))
    return rules


def _matches(path: PurePosixPath, pattern: str) -> bool:
    for candidate in (path, *path.parents):
        text = str(candidate)
        if text == ".":
            continue
        if pattern.startswith("**/"):
            if fnmatch.fnmatchcase(candidate.name, pattern[3:]):
                return True
        elif len(candidate.parts) == len(PurePosixPath(pattern).parts):
            parts = zip(candidate.parts, PurePosixPath(pattern).parts, strict=True)
            if all(fnmatch.fnmatchcase(part, wanted) for part, wanted in parts):
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
    """The instructions of a Dockerfile with continued lines joined."""
    joined = dockerfile.read_text("utf-8").replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            word, _, rest = text.partition(" ")
            found.append((word.upper(), rest.strip()))
    return found


def entrypoint(dockerfile: Path) -> list[str]:
    """The command of ENTRYPOINT."""
    for word, rest in reversed(instructions(dockerfile)):
        if word == "ENTRYPOINT":
            command: list[str] = json.loads(rest)
            return command
    raise ImageError(f"{dockerfile}: no ENTRYPOINT")


def assemble(context: Path, dockerfile: Path, target: Path) -> str:
    """Copy what the image's working directory holds to ``target``.

    Returns:
        ``sha256:`` digest of the Dockerfile and of every file with its name: the same tree gives
        the same digest.
    """
    rules = ignore_rules(context)
    digest = hashlib.sha256(dockerfile.read_bytes())
    copied: dict[str, Path] = {}
    for word, rest in instructions(dockerfile):
        if word != "COPY":
            continue
        source, destination = rest.split()
        start = context / source
        files = [start] if start.is_file() else sorted(p for p in start.rglob("*") if p.is_file())
        if not files:
            raise ImageError(f"{dockerfile}: COPY {source}: nothing there")
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
