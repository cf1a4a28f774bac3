"""The working tree that an image is built from: its git revision, and how it differs from it."""

from __future__ import annotations

import dataclasses
import hashlib

from scripts.checkout import ROOT
from scripts.container.programs import output_of

# All files but one: where the last image is saved as a setting, which is no part of an image.
_OTHERS = ("--", ".", ":(exclude)cdktf.json")
_LISTED = ("--porcelain", *_OTHERS)


@dataclasses.dataclass(frozen=True, slots=True)
class WorkingTree:
    """The state of the checkout by git.

    Attributes:
        revision: the commit, 12 digits.
        dirty: whether the files differ from it, files that git does not know included.
    """

    revision: str
    dirty: bool

    @classmethod
    def of_checkout(cls) -> WorkingTree:
        """Ask git.

        Raises:
            OperatorError: this is no git checkout, or git is missing.
        """
        revision = output_of("git", "rev-parse", "--short=12", "HEAD").decode().strip()
        return cls(revision, bool(output_of("git", "status", *_LISTED).strip()))

    def tag(self) -> str:
        """The image's tag: the revision, and a digest of the changes where there are some.

        Tags in the registry cannot be moved, so two different trees must not share one.
        """
        return f"{self.revision}-dirty-{changes_digest()}" if self.dirty else self.revision


def changes_digest() -> str:
    """Eight digits of everything in which the files differ from the commit.

    Git lists files that it does not know by their names only, so their content is read here.
    """
    digest = hashlib.sha256()
    for command in (
        ("diff", "--binary", "--no-color", "--no-ext-diff", "HEAD", *_OTHERS),
        ("status", *_LISTED),
    ):
        digest.update(output_of("git", *command))
    names = output_of("git", "ls-files", "--others", "--exclude-standard", "-z")
    for name in sorted(filter(None, names.split(b"\0"))):
        path = ROOT / name.decode("utf-8", "surrogateescape")
        digest.update(b"\0" + name + b"\0")
        if path.is_symlink():
            digest.update(str(path.readlink()).encode("utf-8", "surrogateescape"))
        elif path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:8]
