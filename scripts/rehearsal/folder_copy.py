"""Copy a folder of the local cloud's storage to this machine.

``python -m scripts.rehearsal.folder_copy gs://bucket/folder TARGET`` prints the number of files. It
is a process of its own because the storage client finds the local cloud by its environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

from serving.storage import open_folder, safe_path


def copy_folder(uri: str, target: Path) -> int:
    """Copy the files of a folder and return how many there are.

    Args:
        uri: ``gs://`` URI of the folder, or a path.
        target: local folder, made where it is missing.

    Raises:
        StorageError: a name leads outside the folder, or a file cannot be read.
    """
    folder = open_folder(uri)
    count = 0
    for file in folder.files():
        path = target / safe_path(file.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        folder.download(file.name, path)
        count += 1
    return count


if __name__ == "__main__":
    print(copy_folder(sys.argv[1], Path(sys.argv[2])))
