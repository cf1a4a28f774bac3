"""The checkpoint that a release serves, as it lies in the bucket."""

from __future__ import annotations

import dataclasses

from scripts.terminal.errors import CLOUD, OperatorError
from serving.artifacts import SUFFIXES
from serving.storage import StorageError, open_folder

_UPLOAD = "sam-vertex checkpoint upload"


@dataclasses.dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint in a bucket.

    Attributes:
        folder: its ``gs://`` folder, which the model registry calls the model's artifacts.
        file_name: its name in the folder.
        digest: digest of its content.
    """

    folder: str
    file_name: str
    digest: str


def find_checkpoint(uri: str) -> StoredCheckpoint:
    """Find the one checkpoint that a URI means.

    Args:
        uri: ``gs://`` file, or folder with one checkpoint.

    Raises:
        OperatorError: there is none, or several.
    """
    folder_uri, _, name = uri.rstrip("/").rpartition("/")
    if not uri.endswith(SUFFIXES):
        folder_uri, name = uri.rstrip("/"), ""
    try:
        folder = open_folder(folder_uri)
        files = [file.name for file in folder.files() if "/" not in file.name]
        checkpoints = [file for file in files if file.endswith(SUFFIXES)]
        if name:
            checkpoints = [file for file in checkpoints if file == name]
        if len(checkpoints) != 1:
            raise OperatorError(
                f"{uri}: expected one checkpoint, found {', '.join(checkpoints) or 'none'}",
                hint=f"{_UPLOAD} puts each into a folder of its own; or name the file"
                if checkpoints
                else f"upload it first: {_UPLOAD}",
            )
        return StoredCheckpoint(folder_uri, checkpoints[0], folder.digest(checkpoints[0]))
    except StorageError as error:
        raise OperatorError(
            str(error), hint=f"upload it first: {_UPLOAD}", exit_code=CLOUD
        ) from error
