"""The provider's stand-in in this process: Terraform attaches to it instead of starting it anew.

https://developer.hashicorp.com/terraform/plugin/debugging
"""

from __future__ import annotations

import concurrent.futures
import json
import os

import grpc
from tfplugin_proto import tfplugin6_5_pb2_grpc as pb_grpc

from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.google_provider.protocol.plugin import APP_PROTOCOL, WORKERS
from scripts.rehearsal.google_provider.protocol.servicer import Provider
from scripts.rehearsal.google_provider.schema.bundle import ADDRESS
from scripts.rehearsal.google_provider.services.service import Service
from scripts.rehearsal.google_provider.world import World


class AttachedProvider:
    """The provider's stand-in as a thread of this process, to which Terraform attaches.

    Args:
        world: what exists.
        storage_url: address of the storage stand-in.
    """

    def __init__(self, world: World, storage_url: str) -> None:
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=WORKERS))
        provider = Provider(Service(world, Objects(storage_url)))
        pb_grpc.add_ProviderServicer_to_server(provider, self._server)
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def environment(self) -> dict[str, str]:
        """The variable by which Terraform attaches instead of starting a plugin."""
        attached = {
            "Protocol": "grpc",
            "ProtocolVersion": APP_PROTOCOL,
            "Pid": os.getpid(),
            "Test": True,  # Terraform leaves the process alone when it ends
            "Addr": {"Network": "tcp", "String": f"127.0.0.1:{self._port}"},
        }
        return {"TF_REATTACH_PROVIDERS": json.dumps({ADDRESS: attached})}

    def close(self) -> None:
        """Stop answering."""
        self._server.stop(grace=None)
