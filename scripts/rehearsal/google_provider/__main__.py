"""The provider's process, started by Terraform: ``python -m scripts.rehearsal.google_provider``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tfplugin_proto import tfplugin6_5_pb2_grpc as pb_grpc

from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.google_provider.protocol.plugin import PluginServer
from scripts.rehearsal.google_provider.protocol.servicer import Provider
from scripts.rehearsal.google_provider.services.service import Service
from scripts.rehearsal.google_provider.world import World

WORLD_VARIABLE = "SAM_REHEARSAL_WORLD"
# Terraform sets this for a plugin that it starts; without it somebody typed the command
# (go-plugin's handshake).
COOKIE = (
    "TF_PLUGIN_MAGIC_COOKIE",
    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
)


def main() -> int:
    """Serve until Terraform goes away."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        print(
            "error: this is a Terraform plugin\nhint: sam-vertex rehearsal start", file=sys.stderr
        )
        return 2
    path = os.environ.get(WORLD_VARIABLE)
    if not path:
        print(
            f"error: {WORLD_VARIABLE} is not set\nhint: sam-vertex rehearsal env", file=sys.stderr
        )
        return 2
    address = os.environ.get("STORAGE_EMULATOR_HOST")
    plugin = PluginServer()
    service = Service(World(Path(path)), Objects(address) if address else None)
    pb_grpc.add_ProviderServicer_to_server(Provider(service), plugin.server)
    plugin.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
