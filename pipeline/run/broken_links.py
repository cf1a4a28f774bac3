"""Links in an input folder whose images are not there: a run takes none of them, and says so."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from serving.sam.images import SUFFIXES
from serving.storage import open_folder


def count_broken_links(uri: str) -> int:
    """How many links with an image's name lead to no file, below a folder of this machine.

    Hidden files and folders do not count; neither does anything in a bucket, which has no links.
    """
    folder = open_folder(uri)
    found = 0
    left = [folder.uri] if folder.is_local else []
    while left:
        # A folder that cannot be read has been refused when it was listed.
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                elif entry.is_symlink() and Path(entry.name).suffix.lower() in SUFFIXES:
                    found += not Path(entry.path).exists()
    return found
