"""Which images a run segments, and which prompts belong to each."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from pipeline.ordered_map import ordered_map
from pipeline.run.image_names import ImageNames
from pipeline.run.manifest import as_text
from pipeline.run.own_output import OwnOutput
from pipeline.run.parameters import RunError, RunParameters
from serving.sam.errors import ImageError, PromptError
from serving.sam.images import SUFFIXES, read_size
from serving.sam.prompts import Prompt
from serving.sam.prompts_file import parse_prompts_file
from serving.storage import Folder, StorageError, StoredFile, open_folder, open_parent

_HEAD_BYTES = 65536


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


def find_images(
    parameters: RunParameters, tell: Callable[[str], object] = lambda _line: None
) -> list[InputImage]:
    """Return the images of a run with their prompts, by name.

    In a folder and its subfolders it takes the files with an image's suffix, except hidden ones and
    what runs have written. It takes a file that the caller names itself whatever the suffix. It
    takes a file once, however often and by whatever path the inputs name it.

    Args:
        parameters: the run.
        tell: called with a line about each output of another run that was left out.

    Raises:
        RunError: an input is missing, holds no image or is the run's own output, or the prompts
            file is missing.
        PromptError: a prompt is wrong, outside its image or for an unknown file.
        StorageError: an input cannot be listed.
    """
    images: list[InputImage] = []
    own_output = OwnOutput(open_folder(parameters.output))
    names = ImageNames()
    known: set[str] = set()
    for uri in parameters.inputs:
        files = _images_of(uri, own_output)
        if not files:
            raise RunError(
                f"{uri}: no images found; expected files ending in {', '.join(SUFFIXES)}"
            )
        for folder, file in files:
            path = _one_path(folder, file.name)
            if path in known:
                continue
            known.add(path)
            images.append(
                InputImage(
                    name=names.unique(file.name, folder.uri),
                    folder=folder,
                    file=file.name,
                    size_bytes=file.size_bytes,
                    digest=file.digest,
                )
            )
    for uri, count in sorted(own_output.skipped.items()):
        tell(f"left out {count} pictures that an earlier run wrote to {uri}")
    images.sort(key=lambda image: image.name)
    return _with_prompts(images, parameters.prompts) if parameters.prompts else images


def _images_of(uri: str, own_output: OwnOutput) -> list[tuple[Folder, StoredFile]]:
    """The images that one input stands for: an image file, or a folder of them."""
    folder = open_folder(uri)
    if folder.is_local:
        status = _local_status(folder.uri)
        if status is not None and stat.S_ISREG(status.st_mode):
            parent, name = open_parent(uri)
            own_output.check_file(parent, name)
            return [(parent, StoredFile(name, status.st_size))]
        if status is None or not stat.S_ISDIR(status.st_mode):
            raise RunError(f"{uri}: no such file or folder")
    elif PurePosixPath(uri).suffix.lower() in SUFFIXES:
        parent, name = open_parent(uri)
        own_output.check_file(parent, name)
        if not parent.exists(name):
            raise RunError(f"{uri}: no such object")
        return [(parent, StoredFile(name, 0))]
    own_output.check_folder(folder)
    return [
        (folder, file)
        for file in own_output.foreign_files(folder)
        if PurePosixPath(file.name).suffix.lower() in SUFFIXES
    ]


def _local_status(path: str) -> os.stat_result | None:
    """What is known of a file or folder; ``None`` where there is none."""
    try:
        return Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def _one_path(folder: Folder, file: str) -> str:
    """One spelling for all paths that lead to a file by way of its folder."""
    return f"{os.path.realpath(folder.uri)}/{file}" if folder.is_local else folder.uri_of(file)


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
        keys: set[str] = set()
        for name in (image.name, as_text(image.file)):
            keys |= {name, PurePosixPath(name).name}
        for key in keys:
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
