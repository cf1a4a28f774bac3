"""Put the stand-in into a filesystem mirror, and write the CLI file by which Terraform finds it.

https://developer.hashicorp.com/terraform/cli/config/config-file#provider-installation
"""

from __future__ import annotations

import platform
import shlex
import sys
from pathlib import Path

from scripts.checkout import ROOT
from scripts.rehearsal.google_provider.schema.bundle import ADDRESS

VERSION = "6.50.0"


def write_mirror(folder: Path) -> Path:
    """Write the mirror and the CLI configuration that names it.

    Args:
        folder: where both go.

    Returns:
        The CLI configuration, for ``TF_CLI_CONFIG_FILE``.
    """
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    target = folder / "mirror" / ADDRESS / VERSION / f"{platform.system().lower()}_{machine}"
    target.mkdir(parents=True, exist_ok=True)
    program = target / f"terraform-provider-google_v{VERSION}"
    # Not exec: the plugin library sees the end of Terraform by its parent's process id.
    program.write_text(
        "#!/bin/sh\n"
        f"PYTHONPATH={shlex.quote(str(ROOT))} "
        f"{shlex.quote(sys.executable)} -m scripts.rehearsal.google_provider\n"
    )
    program.chmod(0o755)
    config = folder / "terraform.rc"
    config.write_text(
        "disable_checkpoint = true\n"
        "provider_installation {\n"
        f'  filesystem_mirror {{\n    path = "{folder / "mirror"}"\n  }}\n'
        "}\n"
    )
    return config
