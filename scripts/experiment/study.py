"""What an experiment runs: batches of replicated images, a random half of them with prompts."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from scripts.experiment.results import MODES, Mode, Result, has_row, read_result, write_result
from scripts.terminal.progress import report_line
from serving.sam.plain_text import count

if TYPE_CHECKING:
    from pipeline.run.input_images import InputImage
    from scripts.experiment.runner import BatchRunner


class Study:
    """The batches of one experiment.

    Args:
        inputs: images and folders that are replicated.
        folder: local folder for batches, runs and results.
        prompts: file with prompts of the images; empty for a click in the middle of each.
        seed: chooses which half of a batch has prompts.

    Raises:
        RunError, StorageError, PromptError: an image or the prompts cannot be used.
    """

    def __init__(self, inputs: Sequence[str], folder: Path, prompts: str, seed: int) -> None:
        from pipeline.run.input_images import find_images
        from pipeline.run.parameters import RunParameters, fingerprint

        self.folder, self._seed = folder, seed
        parameters = RunParameters(inputs=tuple(inputs), output=str(folder), prompts=prompts)
        self._images = find_images(parameters, report_line)
        content = [
            [
                image.name,
                image.digest or image.folder.digest(image.file),
                [prompt.to_json() for prompt in image.prompts],
            ]
            for image in self._images
        ]
        self._identity = fingerprint({"images": content, "seed": seed})[:12]
        folder.mkdir(parents=True, exist_ok=True)

    def settings(self) -> dict[str, Any]:
        """What tells this experiment's batches from another's."""
        return {"seed": self._seed, "batches": self._identity}

    def write_batch(self, count: int) -> Path:
        """Write ``count`` images and their prompts file, unless they are there.

        Returns:
            Folder with ``images/`` and ``prompts.json``.
        """
        batch = self.folder / "batches" / f"{self._identity}-{count}"
        complete = batch / "complete"
        if complete.exists():
            return batch
        shutil.rmtree(batch, ignore_errors=True)
        (batch / "images").mkdir(parents=True)
        replicas = []
        for number in range(count):
            image = self._images[number % len(self._images)]
            stem, suffix = PurePosixPath(image.file).stem, PurePosixPath(image.file).suffix
            name = f"{number:06d}-{stem[:40]}{suffix}"
            (batch / "images" / name).write_bytes(image.folder.read_bytes(image.file))
            replicas.append((name, image))
        chosen = random.Random(self._seed).sample(replicas, count // 2)
        prompts = {
            name: _prompts(image) for name, image in sorted(chosen, key=lambda pair: pair[0])
        }
        (batch / "prompts.json").write_text(json.dumps(prompts, indent=1) + "\n", "utf-8")
        complete.touch()
        return batch


def _prompts(image: InputImage) -> list[dict[str, Any]]:
    """The image's own prompts, or a click in its middle."""
    from serving.sam.images import read_size

    if image.prompts:
        return [prompt.to_json() for prompt in image.prompts]
    width, height = read_size(image.folder.read_bytes(image.file), image.name)
    return [{"points": [[width / 2, height / 2]], "labels": [1]}]


def missing(study: Study, runner: BatchRunner, sizes: Sequence[int]) -> list[tuple[int, Mode]]:
    """The sizes and modes that nobody has measured yet, the smallest first."""
    result = read_result(study.folder, {**runner.settings(), **study.settings()})
    return [(size, mode) for size in sizes for mode in MODES if not has_row(result, size, mode)]


def conduct(study: Study, runner: BatchRunner, sizes: Sequence[int]) -> Result:
    """Measure every size and mode that has no row yet; write each row to the file at once.

    Args:
        study: the batches.
        runner: runs them.
        sizes: numbers of images.

    Returns:
        Everything measured, by mode and size.
    """
    result = read_result(study.folder, {**runner.settings(), **study.settings()})
    for size in sizes:
        batch = study.write_batch(size)
        for mode in MODES:
            if has_row(result, size, mode):
                continue
            report_line(f"{count(size, 'image')}, {mode}")
            run_folder = study.folder / "runs" / f"{size}-{mode}"
            result["rows"].append(runner.run(batch, run_folder, size, mode))
            write_result(study.folder, result)
    result["rows"].sort(key=lambda row: (row["mode"], row["images"]))
    write_result(study.folder, result)
    return result
