"""What a run must not segment: the pictures that runs have written, to the same output or another.

On this machine a folder has many spellings (``..``, links, another case), but one identity, the
device and number of its inode. In a bucket a folder is the beginning of its objects' names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.run.output_layout import IMAGE_FOLDERS, LOCK, MANIFEST, PLAN
from pipeline.run.parameters import RunError
from serving.storage import Folder, StoredFile

Identity = tuple[int, int]


class OwnOutput:
    """The output of a run, as its inputs meet it.

    Args:
        output: the output, which need not exist yet.

    Attributes:
        skipped: how many pictures of other runs were left out, by the output that holds them.
    """

    def __init__(self, output: Folder) -> None:
        self._output = output
        self.skipped: dict[str, int] = {}
        self._outputs: dict[str, bool] = {}
        self._identities: dict[Path, frozenset[Identity]] = {}
        self._of_folders: dict[str, frozenset[Identity]] = {}
        self._whole: frozenset[Identity] = frozenset()
        self._parts: frozenset[Identity] = frozenset()
        if output.is_local:
            self._whole = _identity(Path(output.uri))
            self._parts = frozenset().union(
                *(_identity(Path(output.uri, name)) for name in IMAGE_FOLDERS)
            )

    def check_folder(self, folder: Folder) -> None:
        """Refuse an input folder that is the output, or that the run itself has written.

        Raises:
            RunError: with the folder's name and the reason.
        """
        if self._is_output(folder):
            raise RunError(
                f"{folder.uri}: the output is the input folder itself, so the run would segment "
                "its own pictures; choose another --output"
            )
        self._check(folder, "")

    def check_file(self, folder: Folder, file: str) -> None:
        """Refuse an input file that the run itself has written.

        Raises:
            RunError: with the file's name and the reason.
        """
        self._check(folder, file)

    def foreign_files(self, folder: Folder) -> Iterator[StoredFile]:
        """The files of an input folder that no run has written.

        It leaves out the output, where that lies below the folder, and the pictures in outputs of
        other runs. These are told by the files that a run leaves there, hidden ones among them.
        """
        whole = not self._lies_in(folder, "", whole=True)
        for file in folder.files():
            if self._lies_in(folder, file.name, whole=whole):
                continue
            other = self._other_output(folder, file.name)
            if other:
                self.skipped[other] = self.skipped.get(other, 0) + 1
            else:
                yield file

    def _other_output(self, folder: Folder, file: str) -> str:
        """The output whose pictures a file is one of; empty for a file that no run has written."""
        parts = file.split("/")
        for number, part in enumerate(parts[:-1]):
            if part not in IMAGE_FOLDERS:
                continue
            above = "".join(f"{name}/" for name in parts[:number])
            uri = folder.uri_of(above.rstrip("/")) if above else folder.uri
            if uri not in self._outputs:
                traces = (f"{above}{name}" for name in (MANIFEST, PLAN, LOCK))
                self._outputs[uri] = any(map(folder.exists, traces))
            if self._outputs[uri]:
                return uri
        return ""

    def _check(self, folder: Folder, file: str) -> None:
        if self._lies_in(folder, file, whole=False):
            raise RunError(
                f"{folder.uri_of(file) if file else folder.uri}: written by a run to this output, "
                "so it is no input; choose another --output"
            )

    def _is_output(self, folder: Folder) -> bool:
        if folder.is_local:
            return bool(self._whole & _identity(Path(folder.uri)))
        return folder.uri == self._output.uri

    def _lies_in(self, folder: Folder, file: str, *, whole: bool) -> bool:
        """Whether a folder or file lies in the output, or else in a folder the run has written."""
        if folder.is_local != self._output.is_local:
            return False
        if folder.is_local:
            return bool((self._whole if whole else self._parts) & self._above(folder.uri, file))
        uri = folder.uri_of(file) if file else f"{folder.uri}/"
        own = [""] if whole else [f"{name}/" for name in IMAGE_FOLDERS]
        return uri.startswith(tuple(f"{self._output.uri}/{name}" for name in own))

    def _above(self, folder: str, file: str) -> frozenset[Identity]:
        """The identities of all folders that a file lies in; a folder lies in itself."""
        if not file:
            return self._ancestors(Path(os.path.realpath(folder)))
        path = f"{folder}/{file}"
        if os.path.islink(path):  # noqa: PTH114  (a Path for each file would cost more than all else)
            return self._ancestors(Path(os.path.realpath(path)).parent)
        parent = path.rpartition("/")[0]
        if parent not in self._of_folders:
            self._of_folders[parent] = self._ancestors(Path(os.path.realpath(parent)))
        return self._of_folders[parent]

    def _ancestors(self, folder: Path) -> frozenset[Identity]:
        if folder not in self._identities:
            above = self._ancestors(folder.parent) if folder.parent != folder else frozenset()
            self._identities[folder] = _identity(folder) | above
        return self._identities[folder]


def _identity(folder: Path) -> frozenset[Identity]:
    """The identity of a folder; empty where there is none, or none that this process may see."""
    try:
        status = folder.stat()
    except OSError:
        return frozenset()
    return frozenset({(status.st_dev, status.st_ino)})
