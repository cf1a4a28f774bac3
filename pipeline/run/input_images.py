"""Which images a run segments, and which prompts belong to each."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.ordered_map import ordered_map
from pipeline.run.manifest import as_text
from pipeline.run.parameters import RunError, RunParameters
from serving.sam.errors import ImageError, PromptError
from serving.sam.images import SUFFIXES, read_size
from serving.sam.prompts import Prompt, parse_prompts_file
from serving.storage import Folder, StorageError, StoredFile, open_folder, open_parent

_MOST_NAME_BYTES = 230  # 255 on most file systems, less the suffixes of the output's files
_KEPT_LETTERS = 48
_HEAD_BYTES = 65536
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputImage:
    """One image to segment.

    Attributes:
        name: its name in the output, unique in the run.
        folder: the folder that holds it.
        file: its name below ``folder``.
        size_bytes: its length; 0 where the listing does not tell it.
        digest: of its content; empty where the listing does not tell it.
        prompts: what to segment; empty for everything.
    """

    name: str
    folder: Folder
    file: str
    size_bytes: int = 0
    digest: str = ""
    prompts: tuple[Prompt, ...] = ()


def find_images(parameters: RunParameters) -> list[InputImage]:
    """Return the images of a run with their prompts, by name.

    In a folder and its subfolders it takes the files with an image's suffix, except hidden ones and
    the run's own output. It takes a file that the caller names itself whatever the suffix.

    Raises:
        RunError: an input is missing or holds no image, or the prompts file is missing.
        PromptError: a prompt is wrong, outside its image or for an unknown file.
        StorageError: an input cannot be listed.
    """
    images: list[InputImage] = []
    names: set[str] = set()
    for uri in parameters.inputs:
        files = _images_of(uri, parameters.output)
        if not files:
            raise RunError(
                f"{uri}: no images found; expected files ending in {', '.join(SUFFIXES)}"
            )
        for folder, file in files:
            name = _unique_name(folder, output_name(file.name), names)
            names.add(name)
            images.append(
                InputImage(
                    name=name,
                    folder=folder,
                    file=file.name,
                    size_bytes=file.size_bytes,
                    digest=file.digest,
                )
            )
    images.sort(key=lambda image: image.name)
    return _with_prompts(images, parameters.prompts) if parameters.prompts else images


def output_name(file: str) -> str:
    """The name an input file gets in the output: a path that every file system can hold.

    Objects of a bucket and files of Linux may be called almost anything: ``a/../b.png``,
    bytes that are no text, or with more letters than fit beside ``.json``.
    """
    parts = []
    for part in as_text(file).split("/"):
        plain = _CONTROL.sub("_", part)
        if plain in ("", ".", ".."):
            plain = "_" * max(len(part), 1)
        if len(plain.encode()) > _MOST_NAME_BYTES:
            digest = hashlib.sha256(part.encode("utf-8", "surrogateescape")).hexdigest()[:12]
            stem, suffix = plain[:_KEPT_LETTERS], PurePosixPath(plain).suffix[:8]
            plain = f"{stem}-{digest}{suffix}"
        parts.append(plain)
    return "/".join(parts)


def _images_of(uri: str, output: str) -> list[tuple[Folder, StoredFile]]:
    """The images that one input stands for: an image file, or a folder of them."""
    folder = open_folder(uri)
    if folder.is_local:
        path = Path(folder.uri)
        if path.is_file():
            parent, name = open_parent(uri)
            return [(parent, StoredFile(name, path.stat().st_size))]
        if not path.is_dir():
            raise RunError(f"{uri}: no such file or folder")
    elif PurePosixPath(uri).suffix.lower() in SUFFIXES:
        parent, name = open_parent(uri)
        if not parent.exists(name):
            raise RunError(f"{uri}: no such object")
        return [(parent, StoredFile(name, 0))]
    skipped = _output_below(folder, output)
    return [
        (folder, file)
        for file in folder.files()
        if PurePosixPath(file.name).suffix.lower() in SUFFIXES
        and not (skipped and file.name.startswith(skipped))
    ]


def _output_below(folder: Folder, output: str) -> str:
    """The subfolder in which the run's own output lies, or an empty string."""
    output_uri = open_folder(output).uri.rstrip("/") + "/"
    folder_uri = folder.uri.rstrip("/") + "/"
    return output_uri.removeprefix(folder_uri) if output_uri.startswith(folder_uri) else ""


def _unique_name(folder: Folder, file: str, names: set[str]) -> str:
    if file not in names:
        return file
    name = f"{PurePosixPath(folder.uri).name}/{file}"
    number = 2
    while name in names:
        name = f"{PurePosixPath(folder.uri).name}-{number}/{file}"
        number += 1
    return name


def _read_text(uri: str) -> str:
    try:
        folder, name = open_parent(uri)
        content = folder.read_bytes(name)
    except StorageError as error:
        raise RunError(f"prompts file {uri}: {error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RunError(f"prompts file {uri}: not UTF-8 text ({error})") from error


def _with_prompts(images: Sequence[InputImage], prompts_uri: str) -> list[InputImage]:
    prompts_by_name = parse_prompts_file(_read_text(prompts_uri))
    numbers_by_name: dict[str, list[int]] = {}
    for number, image in enumerate(images):
        for key in {image.name, PurePosixPath(image.name).name}:
            numbers_by_name.setdefault(key, []).append(number)
    result = list(images)
    chosen: list[int] = []
    for name, prompts in prompts_by_name.items():
        numbers = numbers_by_name.get(name, [])
        if not numbers:
            some = ", ".join(image.name for image in images[:3])
            raise PromptError(
                f"prompts[{name!r}]: no such image among the {len(images)} inputs ({some}...)"
            )
        if len(numbers) > 1 and images[numbers[0]].name != name:
            both = " and ".join(images[number].name for number in numbers[:2])
            raise PromptError(f"prompts[{name!r}]: the name fits {both}; give the longer name")
        number = next((n for n in numbers if images[n].name == name), numbers[0])
        result[number] = dataclasses.replace(images[number], prompts=prompts)
        chosen.append(number)
    prompted = [result[number] for number in chosen]
    readers = prompted[0].folder.readers if prompted else 1
    for _ in ordered_map(_check_inside, prompted, readers):
        pass
    return result


def _check_inside(image: InputImage) -> None:
    try:
        width, height = _size_of(image)
    except (ImageError, StorageError):  # a bad image is a failed row, not an error of its prompts
        return
    for number, prompt in enumerate(image.prompts):
        label = f"prompts[{image.name!r}]" + (f"[{number}]" if len(image.prompts) > 1 else "")
        prompt.check_inside(width, height, label)


def _size_of(image: InputImage) -> tuple[int, int]:
    """Width and height, from the file's first bytes where these tell them."""
    try:
        return read_size(image.folder.read_head(image.file, _HEAD_BYTES), image.name)
    except ImageError:
        return read_size(image.folder.read_bytes(image.file), image.name)
