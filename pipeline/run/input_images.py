"""Which images a run segments, and which prompts belong to each."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import difflib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pipeline.ordered_map import ordered_map
from pipeline.run.broken_links import count_broken_links
from pipeline.run.image_names import ImageNames
from pipeline.run.manifest import as_text
from pipeline.run.own_output import OwnOutput
from pipeline.run.parameters import RunError, RunParameters
from pipeline.run.prompt_sets.prompt_set import ImagePrompts, PromptSet
from pipeline.run.prompt_sets.reading import read_prompts
from serving.sam.errors import ImageError, PromptError
from serving.sam.images import SUFFIXES, is_image_file, read_size
from serving.sam.plain_text import count
from serving.sam.prompts import Prompt
from serving.storage import Folder, StorageError, StoredFile, open_folder, open_parent

_HEAD_BYTES = 65536
_MOST_KINDS = 5  # of files that are named
NoImages = collections.Counter[tuple[str, str]]  # by their folder's URI and the end of their names


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


Tell = Callable[[str], object]


def find_images(parameters: RunParameters, tell: Tell = lambda _line: None) -> list[InputImage]:
    """Return the images of a run with their prompts, by name; see the two functions that it calls.

    Raises:
        RunError, PromptError, StorageError: as they do.
    """
    return with_prompts(find_files(parameters, tell), read_prompts(parameters.prompts), tell)


def find_files(parameters: RunParameters, tell: Tell = lambda _line: None) -> list[InputImage]:
    """Return the images of a run without their prompts, by name.

    In a folder and its subfolders it takes the files with an image's suffix, except hidden ones and
    what runs have written. It takes an image file that the caller names itself whatever the suffix.
    It takes a file once, however often and by whatever path the inputs name it.

    Args:
        parameters: the run.
        tell: called with a line about each output of another run that was left out.

    Raises:
        RunError: an input is missing, is or holds no image, or is the run's own output.
        StorageError: an input cannot be listed.
    """
    images: list[InputImage] = []
    own_output = OwnOutput(open_folder(parameters.output))
    names = ImageNames()
    known: set[str] = set()
    no_images: NoImages = collections.Counter()
    for uri in parameters.inputs:
        files = _images_of(uri, own_output, no_images)
        if not files:
            kinds = _kinds(no_images, own_output)
            found = f", found {kinds}" if kinds else ""
            raise RunError(
                f"{uri}: no images found; expected files ending in {', '.join(SUFFIXES)}{found}"
            )
        above = _one_path(files[0][0])  # an input is of one folder
        for folder, file in files:
            path = f"{above}/{file.name}"
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
    for uri, number in sorted(own_output.skipped.items()):
        tell(f"left out {count(number, 'picture')} that an earlier run wrote to {uri}")
    if broken := sum(map(count_broken_links, dict.fromkeys(parameters.inputs))):
        tell(f"left out {count(broken, 'link')} to a file that is not there")
    if kinds := _kinds(no_images, own_output):
        tell(f"left out files that are not images by their names: {kinds}")
    images.sort(key=lambda image: image.name)
    return images


def _images_of(
    uri: str, own_output: OwnOutput, no_images: NoImages
) -> list[tuple[Folder, StoredFile]]:
    """The images that one input stands for: an image file, or a folder of them.

    Args:
        uri: the input.
        own_output: the run's output.
        no_images: counts the folder's other files, hidden ones apart.
    """
    folder = open_folder(uri)
    if folder.is_local:
        status = _local_status(folder.uri)
        if status is not None and stat.S_ISREG(status.st_mode):
            parent, name = open_parent(uri)
            own_output.check_file(parent, name)
            if PurePosixPath(name).suffix.lower() not in SUFFIXES and not is_image_file(folder.uri):
                raise RunError(
                    f"{uri}: not an image, by its name or its content", hint=ImageError.hint
                )
            return [(parent, StoredFile(name, status.st_size))]
        if status is None or not stat.S_ISDIR(status.st_mode):
            raise RunError(f"{uri}: no such file or folder", hint=_nearest_file(Path(uri)))
    elif PurePosixPath(uri).suffix.lower() in SUFFIXES:
        parent, name = open_parent(uri)
        own_output.check_file(parent, name)
        if not parent.exists(name):
            raise RunError(f"{uri}: no such object")
        return [(parent, StoredFile(name, 0))]
    own_output.check_folder(folder)
    files = []
    for file in own_output.foreign_files(folder):
        suffix = PurePosixPath(file.name).suffix.lower()
        if suffix in SUFFIXES:
            files.append((folder, file))
        else:
            above = file.name.rpartition("/")[0]
            no_images[folder.uri_of(above) if above else folder.uri, suffix] += 1
    return files


def _kinds(no_images: NoImages, own_output: OwnOutput) -> str:
    """How many files there are of each kind, the most frequent first, without other runs' own."""
    counts: collections.Counter[str] = collections.Counter()
    for (folder, suffix), number in no_images.items():
        if folder not in own_output.skipped:
            counts[suffix] += number
    kinds = [
        f"{count} {as_text(kind) or 'without an ending'}" for kind, count in counts.most_common()
    ]
    return ", ".join(kinds[:_MOST_KINDS]) + (", ..." if len(kinds) > _MOST_KINDS else "")


def _nearest_file(path: Path) -> str:
    """A question that names what is there and called nearly so."""
    with contextlib.suppress(OSError):
        names = [file.name for file in path.expanduser().absolute().parent.iterdir()]
        nearest = difflib.get_close_matches(path.name, names, n=1)
        if nearest:
            return f"did you mean {as_text(str(path.with_name(nearest[0])))}?"
    return "INPUT is an image file or a folder, here or in a bucket (gs://)"


def _local_status(path: str) -> os.stat_result | None:
    """What is known of a file or folder; ``None`` where there is none."""
    try:
        return Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def _one_path(folder: Folder) -> str:
    """One spelling for all paths that lead to a folder."""
    return os.path.realpath(folder.uri) if folder.is_local else folder.uri


def with_prompts(
    images: Sequence[InputImage], given: PromptSet, tell: Tell = lambda _line: None
) -> list[InputImage]:
    """Give each image its prompts.

    Of a data set of boxes it takes what belongs to the images, and leaves out images without boxes;
    our own prompts file names images one by one, and each of them must be there.

    Raises:
        PromptError: a prompt is wrong, outside its image, of an image of another size, or for an
            unknown file.
    """
    if not given.images:
        return list(images)
    numbers_by_name = _numbers_by_name(images)
    chosen: dict[int, ImagePrompts] = {}
    unknown: list[str] = []
    for item in given.images:
        number = _number_of(item, images, numbers_by_name)
        if number is not None and number not in chosen:
            chosen[number] = item
        elif number is not None:
            raise PromptError(
                f"{item.objects[0].place}: {item.names[0]!r} and {chosen[number].names[0]!r} are "
                "one image; merge the two entries"
            )
        else:
            unknown.append(item.names[0])
            if given.others == "automatic" or len(unknown) == len(given.images):
                some = ", ".join(image.name for image in images[:3])
                nearest = difflib.get_close_matches(item.names[0], numbers_by_name, n=1)
                raise PromptError(
                    f"{item.objects[0].place}: no such image among the {len(images)} inputs "
                    f"({some}...): {item.names[0]!r}",
                    hint=f"did you mean {nearest[0]!r}?" if nearest else "",
                )
    readers = max(image.folder.readers for image in images)
    fitted = dict(ordered_map(lambda n: (n, _fitted(images[n], chosen[n])), chosen, readers))
    prompted = [
        dataclasses.replace(image, prompts=fitted.get(number, ()))
        for number, image in enumerate(images)
        if given.others == "automatic" or number in fitted
    ]
    if unknown:
        files = count(len(unknown), "file")
        tell(f"left out the boxes of {files} not among the inputs, like {unknown[0]}")
    if len(prompted) < len(images):
        tell(f"left out {count(len(images) - len(prompted), 'image')} without boxes")
    return prompted


def _numbers_by_name(images: Sequence[InputImage]) -> dict[str, list[int]]:
    """The images that each name may mean: with and without folders, and with ``.*`` as suffix."""
    numbers_by_name: dict[str, list[int]] = {}
    for number, image in enumerate(images):
        keys: set[str] = set()
        for name in (image.name, as_text(image.file)):
            keys |= {name, PurePosixPath(name).name}
        keys.add(as_text(image.folder.uri_of(image.file)))
        keys |= {f"{key.removesuffix(PurePosixPath(key).suffix)}.*" for key in keys}
        for key in keys:
            numbers_by_name.setdefault(key, []).append(number)
    return numbers_by_name


def _number_of(
    item: ImagePrompts, images: Sequence[InputImage], numbers_by_name: Mapping[str, list[int]]
) -> int | None:
    """The image that an entry means; ``None`` if there is none."""
    for name in item.names:
        numbers = numbers_by_name.get(name, [])
        if len(numbers) > 1 and images[numbers[0]].name != name:
            both = " and ".join(images[number].name for number in numbers[:2])
            raise PromptError(
                f"{item.objects[0].place}: the name {name!r} fits {both}; give the longer name"
            )
        if numbers:
            return next((n for n in numbers if images[n].name == name), numbers[0])
    return None


def _fitted(image: InputImage, item: ImagePrompts) -> tuple[Prompt, ...]:
    try:
        width, height = _size_of(image)
    except (ImageError, StorageError):  # a bad image is a failed row, not an error of its prompts
        return item.unfitted()
    return item.fitted(width, height)


def _size_of(image: InputImage) -> tuple[int, int]:
    """Width and height, from the file's first bytes where these tell them."""
    try:
        return read_size(image.folder.read_head(image.file, _HEAD_BYTES), image.name)
    except ImageError:
        return read_size(image.folder.read_bytes(image.file), image.name)
