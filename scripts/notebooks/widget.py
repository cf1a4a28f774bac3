"""A photograph to click in a notebook, on the annotation page's own modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunParameters
from scripts.annotate.app import PAGE, PREVIEW_SIDE
from scripts.annotate.errors import AnnotateError
from scripts.annotate.objects import make_record, parse_object, shown
from scripts.annotate.segmenters import LocalSegmenter
from scripts.annotate.shelf import ImageShelf
from scripts.notebooks.modules import one_module
from serving.sam import Engine, Prompt
from serving.sam.errors import SamError
from serving.sam.masks import encode_mask
from serving.sam.prompts import parse_prompt


class ClickWidget(anywidget.AnyWidget):
    """One image with the mask that follows the pointer; what somebody accepts is in ``records``.

    Click to include, right-click or Alt to exclude, drag a box, 1 to 3 for the candidates, Enter to
    accept, Z and Shift+Z to undo and redo.

    Args:
        engine: makes the masks, in the kernel.
        image: path of the image's file.

    Raises:
        RunError: there is no such image.
        ImageError: it cannot be decoded.

    Attributes:
        objects: what was accepted, as the page shows it; grows while somebody clicks.
    """

    _esm = one_module(PAGE / "widget.js")
    _css = Path(__file__).with_name("widget.css").read_text("utf-8")
    picture = traitlets.Bytes().tag(sync=True)
    size = traitlets.List([1, 1]).tag(sync=True)  # width and height in pixels
    objects: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, engine: Engine, image: str | Path) -> None:
        images = find_images(RunParameters(inputs=(str(image),), output="work"))
        self._image = ImageShelf(images).get(0)
        self._segmenter = LocalSegmenter(engine)
        self._segmenter.prepare(self._image)
        self._records: dict[str, dict[str, Any]] = {}
        height, width = self._image.size_hw
        super().__init__(picture=self._image.picture(), size=[width, height])
        self.on_msg(lambda _widget, content, _buffers: self.send(self.answer(content)))

    @property
    def records(self) -> list[dict[str, Any]]:
        """The accepted masks as a run writes them, in the order in which they were accepted."""
        return list(self._records.values())

    @property
    def prompts(self) -> list[Prompt]:
        """The prompts of the accepted masks, for ``Engine.segment`` or a prompts file."""
        return [
            parse_prompt(record["prompt"], "prompt")
            for record in self._records.values()
            if "prompt" in record
        ]

    def answer(self, content: dict[str, Any]) -> dict[str, Any]:
        """Answer a question of the page; a refusal is an answer too."""
        number = content.get("number")
        try:
            if content.get("kind") == "candidates":
                return {"number": number, "candidates": self._candidates(content.get("prompt"))}
            return {"number": number, "object": self._changed(content)}
        except (AnnotateError, SamError) as error:
            return {"number": number, "error": str(error)}

    def _candidates(self, prompt: Any) -> list[dict[str, Any]]:
        found = self._segmenter.candidates(
            self._image, parse_prompt(prompt, "prompt"), PREVIEW_SIDE
        )
        return [
            {"segmentation": encode_mask(one.mask), "score": round(one.score, 4)} for one in found
        ]

    def _changed(self, content: dict[str, Any]) -> dict[str, Any] | None:
        identifier = str(content.get("id", ""))
        if content.get("method") == "DELETE":
            self._records.pop(identifier, None)
            record = None
        else:
            wanted = parse_object(identifier, content.get("body"), self._image)
            record = make_record(wanted, self._image, self._segmenter)
            self._records[identifier] = record
        self.objects = [shown(kept) for kept in self._records.values()]
        return shown(record) if record is not None else None
