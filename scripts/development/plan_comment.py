"""Terraform's plan of the stacks as a comment for review: what a change would do, as Markdown.

    python -m scripts.development.plan_comment --output plan.md            # of the real project
    python -m scripts.development.plan_comment --rehearse --base ../main   # in a local cloud

A rehearsed plan first applies the stacks of another checkout (the branch that a pull request
goes to), so that it shows what the change changes, and not everything anew.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.checkout import ROOT, STACKS
from scripts.rehearsal import local_cloud
from scripts.terminal.errors import OperatorError, print_error, reporting_errors

LONGEST = 28_000  # characters of one stack's plan; a comment holds 65,536
SUMMARY = re.compile(r"^(Plan: .*|No changes\..*)$", re.MULTILINE)


def _call(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        tail = (done.stderr or done.stdout).strip()[-800:]
        raise OperatorError(
            f"{' '.join(command[:2])} failed: {tail}",
            hint="python -m infra.main --check",
            exit_code=1,
        )
    return done.stdout


def synthesize(checkout: Path, output: Path, environment: dict[str, str]) -> None:
    """Write the stacks of a checkout of this repository under ``output``."""
    settings = {"PYTHONPATH": str(checkout), "CDKTF_OUTDIR": str(output)}
    _call([sys.executable, "-m", "infra.main"], checkout, {**environment, **settings})


def terraform(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """Run Terraform in a stack's folder; return what it printed."""
    return _call(["terraform", *arguments, "-no-color", "-input=false"], folder, environment)


def _stacks(output: Path) -> Iterator[tuple[str, Path]]:
    for stack in STACKS:
        folder = output / "stacks" / stack
        if folder.exists():  # a base from before a stack was there
            yield stack, folder


def markdown(plans: dict[str, str], origin: str) -> str:
    """Return the plans as a comment: a line a stack, and each plan folded away.

    Args:
        plans: what ``terraform plan`` printed, by stack.
        origin: of the plans, for the heading.
    """
    parts = [f"### Plan ({origin})\n"]
    for stack, text in plans.items():
        summary = SUMMARY.search(text)
        parts.append(f"- `{stack}`: {summary[1] if summary else 'only outputs change'}")
    for stack, text in plans.items():
        changes = text[text.find("Terraform used") :] if "Terraform used" in text else text
        cut = changes if len(changes) <= LONGEST else changes[:LONGEST] + "\n[cut: see the log]"
        parts.append(
            f"\n<details><summary>{stack}</summary>\n\n```text\n{cut.strip()}\n```\n</details>"
        )
    return "\n".join(parts) + "\n"


def plan_as_markdown(base: Path | None, rehearse: bool) -> str:
    """Plan both stacks of this checkout; return Markdown.

    Args:
        base: checkout whose stacks are applied first, in a rehearsal.
        rehearse: plan in a local cloud instead of the real project.

    Raises:
        OperatorError: the settings are wrong, or Terraform fails.
    """
    with contextlib.ExitStack() as cleaning:
        home = Path(cleaning.enter_context(tempfile.TemporaryDirectory()))
        environment = dict(os.environ)
        if rehearse:
            cloud = local_cloud.start(home / "cloud")
            cleaning.callback(local_cloud.stop, cloud.home)
            environment = {"SAM_PROJECT_ID": "rehearsed-project", **environment}
            environment |= cloud.environment()
            # What an apply calls is a command of this environment.
            programs = f"{Path(sys.executable).parent}{os.pathsep}"
            environment["PATH"] = programs + environment["PATH"]
            if base is not None:
                synthesize(base.resolve(), home / "base", environment)
                for _, folder in _stacks(home / "base"):
                    terraform(folder, environment, "init")
                    terraform(folder, environment, "apply", "-auto-approve")
        synthesize(ROOT, home / "head", environment)
        plans = {}
        for stack, folder in _stacks(home / "head"):
            terraform(folder, environment, "init")
            # Planning locks the state for writing; CI may look only.
            locking = () if rehearse else ("-lock=false",)
            plans[stack] = terraform(folder, environment, "plan", *locking)
        return markdown(plans, "rehearsed" if rehearse else "real project")


def main() -> int:
    """Write the plan to a file, or print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rehearse", action="store_true", help="in a local cloud")
    parser.add_argument("--base", type=Path, help="checkout that is applied first, in a rehearsal")
    parser.add_argument("--output", type=Path, help="Markdown file; default: print it")
    arguments = parser.parse_args()
    try:
        with reporting_errors(debug=False):
            text = plan_as_markdown(arguments.base, arguments.rehearse)
            if arguments.output:
                arguments.output.write_text(text, "utf-8")
            else:
                print(text)
    except OperatorError as error:
        print_error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
