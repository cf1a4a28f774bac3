"""What an output remembers of the batch prediction that computes it, until it has the results."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Mapping

from pipeline.run.manifest import read_json, write_json
from pipeline.run.output_layout import BATCH
from scripts.terminal.errors import OperatorError
from serving.storage import Folder

_TOKEN = re.compile(r"[0-9a-f]{16}")  # names a folder, so nothing else may stand there


@dataclasses.dataclass(frozen=True, slots=True)
class Submission:
    """A job on its way: its input, then the job itself, then its results.

    The output knows it before anything is uploaded or submitted, and the job carries its token as a
    label. So neither a kill nor a lost answer of Vertex AI leaves a job that nobody finds again.

    Attributes:
        identity: digest of all images of the command that submitted the job, done or not.
        token: of this submission; a label of the job, and part of its folder's name.
        unreadable: why an image, by name, has no line in the input; ``None`` until the input lies
            in the bucket.
    """

    identity: str
    token: str
    unreadable: Mapping[str, str] | None = None

    @classmethod
    def begin(cls, output: Folder, identity: str) -> Submission:
        """Begin a submission, and let the output remember it."""
        submission = cls(identity, secrets.token_hex(8))
        submission.remember(output)
        return submission

    def remember(self, output: Folder) -> None:
        """Let the output remember this submission in place of any other."""
        write_json(output, BATCH, dataclasses.asdict(self))

    def with_input(self, unreadable: Mapping[str, str]) -> Submission:
        """This submission, once its input lies in the bucket."""
        return dataclasses.replace(self, unreadable=dict(unreadable))


def remembered(output: Folder) -> Submission | None:
    """The submission that an output remembers; ``None`` where it remembers none.

    Raises:
        OperatorError: it remembers one in a form that nobody can read.
        StorageError: the output cannot be read.
    """
    if not output.exists(BATCH):
        return None
    try:
        submission = Submission(**read_json(output, BATCH))
        if not _TOKEN.fullmatch(submission.token):
            raise ValueError(submission.token)
        dict(submission.unreadable or {})
    except (ValueError, TypeError) as error:
        name = output.uri_of(BATCH)
        raise OperatorError(
            f"{name}: expected the submission of a batch prediction, found something else; its job "
            "may go on and bill",
            hint="end the job in the console (Vertex AI, Batch inference), then remove the file",
        ) from error
    return submission


def forget(output: Folder) -> None:
    """Forget the submission: what is left afterwards needs another job."""
    output.delete(BATCH)
