"""The app of ``cdktf.json``: read the settings, check them, synthesize both stacks.

python -m infra.main            # writes cdktf.out/stacks/*/cdk.tf.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from infra.backend_cache import forget_other_platforms
from infra.configuration import example, is_setting, load
from infra.rehearsal import check_rehearsal
from infra.settings import STACKS, Settings, SettingsError, state_file, state_prefix

PROJECT_FILE = Path("cdktf.json")
REHEARSED_FILE = "settings.json"  # scripts.cloud.saved_settings writes it beside the world
RELEASED = ("image", "checkpoint")


def read_context() -> dict[str, Any]:
    """Return the context that the cdktf command line passes, else that of ``cdktf.json``.

    In a rehearsal without what the real platform serves, which the local cloud does not hold, and
    with what was saved in the rehearsal.
    """
    context = _whole_context()
    world = os.environ.get("SAM_REHEARSAL_WORLD")
    if world is None:
        return context
    kept = {name: value for name, value in context.items() if name not in RELEASED}
    saved = Path(world).parent / REHEARSED_FILE
    if not saved.exists():
        return kept
    project_id = os.environ.get("SAM_PROJECT_ID") or kept.get("project_id", "")
    return {**kept, **json.loads(saved.read_text("utf-8")).get(project_id, {})}


def _whole_context() -> dict[str, Any]:
    passed = os.environ.get("CDKTF_CONTEXT_JSON")
    if passed:
        return dict(json.loads(passed))
    if PROJECT_FILE.exists():
        return dict(json.loads(PROJECT_FILE.read_text("utf-8")).get("context", {}))
    return {}


def old_states(settings: Settings) -> list[tuple[Path, Path]]:
    """Local states under names that told no project or prefix from another, and their new names."""
    folder = Path(settings.state_folder or ".")
    moved = [
        (folder / f"terraform.{stack}.tfstate", folder / state_file(settings, stack))
        for stack in STACKS
    ]
    return [] if settings.state_bucket else [pair for pair in moved if pair[0].exists()]


def summary(settings: Settings) -> str:
    """What a synthesis is about: the project, where its state is, and what the environment adds."""
    state = f"gs://{settings.state_bucket}/{state_prefix(settings)}"
    if not settings.state_bucket:
        state = f"{settings.state_folder or '.'}/{state_file(settings, '*')}"
    given = sorted(name for name in os.environ if is_setting(name))
    overrides = f"; from the environment: {', '.join(given)}" if given else ""
    image = settings.image.rpartition("@")[2][:19] or "no image"
    return (
        f"synthesizing project {settings.project_id}, prefix {settings.prefix}, "
        f"region {settings.region}, {image}; state {state}{overrides}"
    )


def main() -> int:
    """Synthesize; 2 with ``error:`` and ``hint:`` on wrong settings, before anything is written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="check the settings and end")
    parser.add_argument("--example", action="store_true", help="print every setting and end")
    arguments = parser.parse_args()
    if arguments.example:
        print(example())
        return 0
    try:
        settings = load(read_context(), os.environ)
        check_rehearsal(settings.state_folder, os.environ)
    except SettingsError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        return 2
    for old, new in old_states(settings):
        print(
            f"error: {old} is a state of an older version, which had one for all projects and "
            f"prefixes\nhint: if it is that of {settings.project_id} and {settings.prefix}: "
            f"mv {old} {new}",
            file=sys.stderr,
        )
        return 2
    if arguments.check:
        print(f"settings are in order: project {settings.project_id}, zone {settings.zone}")
        return 0
    print(summary(settings), file=sys.stderr)
    os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
    # Imported late: the kernel behind these takes two seconds to start.
    from cdktf import App

    from infra.stacks import build

    app = App()
    forget_other_platforms(Path(app.outdir), settings)
    build(app, settings)
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
