"""Scan the synthesized stacks with the policy scanner checkov; compare with the accepted list.

python -m scripts.development.policy_audit --checkov .venv-audit/bin/checkov
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from scripts.checkout import ROOT
from scripts.terminal.errors import OperatorError

ACCEPTED = ROOT / "infra" / "policy-exceptions.yaml"
VARIANTS = {
    "defaults": {"SAM_PROJECT_ID": "my-project"},
    "hardened": {
        "SAM_PROJECT_ID": "my-project",
        "SAM_CMEK": "true",
        "SAM_MONITORING": "true",
        "SAM_ALERT_EMAIL": "ops@example.com",
        "SAM_LOG_BUCKET": "company-logs",
        "SAM_BIGQUERY": "true",
    },
}


def synthesize(folder: Path, settings: dict[str, str]) -> None:
    """Write the stacks with some settings, and no others, under a folder."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SAM_")}
    subprocess.run(
        [sys.executable, "-m", "infra.main"],
        env={**plain, **settings, "CDKTF_OUTDIR": str(folder), "CDKTF_CONTEXT_JSON": "{}"},
        check=True,
    )


def scan(checkov: Path, folder: Path) -> list[dict[str, Any]]:
    """Failed checks of everything under a folder.

    Raises:
        OperatorError: the scanner does not run, or looked at nothing.
    """
    done = subprocess.run(  # noqa: S603
        [
            str(checkov),
            *("--directory", str(folder), "--framework", "terraform_json"),
            *("--output", "json", "--skip-download", "--quiet"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        report = json.loads(done.stdout)
        passed = int(report["summary"]["passed"])
        failed: list[dict[str, Any]] = report["results"]["failed_checks"]
    except (ValueError, KeyError) as error:
        raise OperatorError(
            f"{checkov} gave no report: {done.stderr.strip()[-300:]}",
            hint="make audit",
            exit_code=1,
        ) from error
    if passed == 0:
        raise OperatorError("the scanner found nothing to judge", hint="make audit", exit_code=1)
    return failed


def compare(findings: list[dict[str, Any]], accepted: dict[str, str], variant: str) -> list[str]:
    """Return a line for each finding that is not accepted and each acceptance without a finding."""
    lines = [
        f"{variant}: {check['check_id']} {check['check_name']}: {check['resource']} is not accepted"
        for check in findings
        if check["check_id"] not in accepted
    ]
    ids = {check["check_id"] for check in findings}
    lines += [f"{variant}: {id_} is accepted, but not found" for id_ in accepted if id_ not in ids]
    return lines


def main() -> int:
    """Scan both variants; 1 where something differs from the list."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--checkov", type=Path, required=True, help="the scanner's program")
    arguments = parser.parse_args()
    accepted = yaml.safe_load(ACCEPTED.read_text("utf-8"))
    differing = []
    for variant, settings in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            synthesize(Path(folder), settings)
            findings = scan(arguments.checkov, Path(folder))
        print(f"{variant}: {len(findings)} findings, {len(accepted[variant])} kinds accepted")
        differing += compare(findings, accepted[variant], variant)
    for line in differing:
        print(f"error: {line}", file=sys.stderr)
    if differing:
        print(f"hint: fix it, or give a reason in {ACCEPTED.name}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
