"""The names that images get in a run's output."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import PurePosixPath

from pipeline.run.manifest import as_text

_MOST_NAME_BYTES = 230  # 255 on most file systems, less the suffixes of the output's files
_KEPT_LETTERS = 48
# Of no shape: control characters, marks that turn the direction of writing, line ends, surrogates.
_SHAPELESS = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"  # within words and emoji
# Of what an image gets in segments, masks and overlays.
_FILE_SUFFIXES = ("", ".json", ".png", ".webp")


def output_name(file: str) -> str:
    """The name an input file gets in the output: a path that every file system can hold.

    Objects of a bucket and files of Linux may be called almost anything: ``a/../b.png``,
    bytes that are no text, or with more letters than fit beside ``.json``. No part of the name
    begins with a dot, since the run's own listings leave out hidden files. Nor has it a character
    that a terminal would obey or that shows the name as another: everything that shows an image's
    name, from the report to COCO, shows this one.
    """
    if _is_plain(file):
        return file
    parts = []
    for part in as_text(file).split("/"):
        plain = "".join("_" if _is_shapeless(character) else character for character in part)
        if plain in ("", ".", ".."):
            plain = "_" * max(len(part), 1)
        elif plain.startswith("."):
            plain = f"_{plain[1:]}"
        if len(plain.encode()) > _MOST_NAME_BYTES:
            digest = hashlib.sha256(part.encode("utf-8", "surrogateescape")).hexdigest()[:12]
            stem, suffix = plain[:_KEPT_LETTERS], PurePosixPath(plain).suffix[:8]
            plain = f"{stem}-{digest}{suffix}"
        parts.append(plain)
    return "/".join(parts)


def _is_plain(file: str) -> bool:
    """Whether a name is one of most names, of which nothing need be changed."""
    return (
        len(file) <= _MOST_NAME_BYTES
        and file.isascii()
        and file.isprintable()
        and not file.startswith((".", "/"))
        and not file.endswith("/")
        and "/." not in file
        and "//" not in file
        and file != ""
    )


def _is_shapeless(character: str) -> bool:
    return unicodedata.category(character) in _SHAPELESS and character not in _JOINERS


class ImageNames:
    """Gives each image of a run a name whose files do not collide with those of another.

    Names that differ in case only are one file on some systems, and no file can be the folder of
    another: ``a.jpg`` has ``segments/a.jpg/01.png``, and so has ``a.jpg/01.png``.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._folders: set[str] = set()

    def unique(self, file: str, folder_uri: str) -> str:
        """Return a new name for a file of an input folder: its own, else one with the folder's."""
        plain = output_name(file)
        folder = output_name(PurePosixPath(folder_uri).name)
        name, number = plain, 1
        while not self._add(name):
            name = f"{folder}/{plain}" if number == 1 else f"{folder}-{number}/{plain}"
            number += 1
        return name

    def _add(self, name: str) -> bool:
        """Take a name, unless its files collide with those of another."""
        key = name.lower()
        if not name.isascii():
            key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if key in self._names or any(key + suffix in self._folders for suffix in _FILE_SUFFIXES):
            return False
        folders = []
        above = key.rpartition("/")[0]
        while above and above not in self._folders:  # of which it knows those above, too
            if any(_without(above, suffix) in self._names for suffix in _FILE_SUFFIXES):
                return False
            folders.append(above)
            above = above.rpartition("/")[0]
        self._names.add(key)
        self._folders.update(folders)
        return True


def _without(name: str, suffix: str) -> str:
    """The name whose file with this suffix would be called ``name``; empty where none is."""
    return name.removesuffix(suffix) if name.endswith(suffix) else ""
