"""Run the front.

python -m scripts.rehearsal.cloud_storage --home .rehearsal --port 4443 --backend http://127.0.0.1:4444
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from scripts.rehearsal.cloud_storage.access import Access
from scripts.rehearsal.cloud_storage.front import Front
from scripts.rehearsal.cloud_storage.versions import Versions
from scripts.rehearsal.google_provider.world import World


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--home", type=Path, required=True, help="folder of the local cloud")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--backend", required=True, help="address of fake-gcs-server")
    arguments = parser.parse_args()
    versions = Versions(arguments.home / "versions.json")
    access = Access(World(arguments.home / "world.json"))
    front = Front(arguments.port, arguments.backend, access, versions)

    def stop(*_: object) -> None:  # shutdown() waits for the loop that this signal interrupted
        threading.Thread(target=front.shutdown).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        front.serve_forever(poll_interval=0.1)
    finally:
        versions.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
