"""A stand-in of the ``docker`` command: what ``sam-vertex image build`` asks of it, and no more.

An image is its tree of files. A push puts it into the world's registry, from which the Vertex
stand-in starts it. Only a rehearsal's PATH leads here; elsewhere ``docker`` is the real one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.rehearsal.container_engine.image_tree import ImageTreeError, assemble, entrypoint
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.iam.callers import OPERATOR
from scripts.rehearsal.iam.policies import Policies
from scripts.rehearsal.iam.policies import repository as iam_repository

REPOSITORY = "google_artifact_registry_repository"


def _home() -> Path:
    return Path(os.environ["SAM_REHEARSAL_WORLD"]).parent


def _local_images() -> dict[str, dict[str, Any]]:
    path = _home() / "images" / "local.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def build(tag: str, dockerfile: Path, context: Path, stage: str = "") -> None:
    """Assemble the tree of an image and keep it under its digest."""
    images = _home() / "images"
    images.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=images, prefix="building-"))
    content = assemble(context, dockerfile, scratch, stage)
    # Two builds of the same files are two images: layers and manifest hold times.
    digest = f"sha256:{hashlib.sha256(f'{content} {time.time_ns()}'.encode()).hexdigest()}"
    tree = images / digest.removeprefix("sha256:")[:24]
    if not tree.exists():
        scratch.replace(tree)
    local = _local_images()
    command = entrypoint(dockerfile, stage)
    local[tag] = {"digest": digest, "tree": str(tree), "entrypoint": command}
    (images / "local.json").write_text(json.dumps(local, indent=1), "utf-8")
    print(f"writing image {digest}\nnaming to {tag}")


def push(tag: str) -> None:
    """Put a local image into the registry, where a tag cannot be moved.

    Raises:
        ImageTreeError: there is no such image or repository, or the tag is another image's.
    """
    image = _local_images().get(tag)
    if image is None:
        raise ImageTreeError(f"An image does not exist locally with the tag: {tag}")
    name, _, label = tag.rpartition(":")
    host, project, repository = name.split("/")[:3]
    location = host.removesuffix("-docker.pkg.dev")
    id_ = f"projects/{project}/locations/{location}"
    with World(Path(os.environ["SAM_REHEARSAL_WORLD"])).open() as world:
        _refuse_push(world, project, location, repository)
        repositories = world["resources"].get(REPOSITORY, {})
        if f"{id_}/repositories/{repository}" not in repositories:
            raise ImageTreeError(f'name unknown: Repository "{repository}" not found')
        pushed = world.setdefault("images", {}).setdefault(name, [])
        for other in pushed:
            if label in other["tags"] and other["digest"] != image["digest"]:
                raise ImageTreeError(
                    f"manifest invalid: cannot update tag {label}: tags are immutable"
                )
        earlier = [other for other in pushed if other["digest"] == image["digest"]]
        if earlier:
            earlier[0]["tags"] = sorted({*earlier[0]["tags"], label})
        else:
            pushed.append({**image, "tags": [label]})
    print(f"{label}: digest: {image['digest']} size: 1")


def _refuse_push(world: dict[str, Any], project: str, location: str, name: str) -> None:
    """Refuse whoever may not push: the account of the shell, which logs the engine in."""
    caller = os.environ.get("SAM_REHEARSAL_ACCOUNT") or OPERATOR
    permission = "artifactregistry.repositories.uploadArtifacts"
    if not Policies(world).allows(caller, permission, iam_repository(project, location, name)):
        raise ImageTreeError(
            f'denied: Permission "{permission}" denied on resource '
            f'"projects/{project}/locations/{location}/repositories/{name}" (or it may not exist)'
        )


def main() -> int:
    """The commands ``version``, ``build`` and ``push``."""
    parser = argparse.ArgumentParser(prog="docker", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    version = commands.add_parser("version")
    version.add_argument("--format")
    building = commands.add_parser("build")
    building.add_argument("--file", type=Path, required=True)
    building.add_argument("--tag", required=True)
    building.add_argument("--platform")
    building.add_argument("--target", default="")
    building.add_argument("--build-arg", action="append")
    building.add_argument("context", type=Path)
    pushing = commands.add_parser("push")
    pushing.add_argument("tag")
    arguments = parser.parse_args()
    try:
        if arguments.command == "version":
            print("rehearsed")
        elif arguments.command == "build":
            build(arguments.tag, arguments.file, arguments.context, arguments.target)
        else:
            push(arguments.tag)
    except ImageTreeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
