"""Who makes the masks: the engine of this machine, or another behind the same interface."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from scripts.annotate.shelf import OpenImage
from serving.embedding_cache import EmbeddingCache
from serving.sam.masks import MaskRecord
from serving.sam.prompts import Prompt

if TYPE_CHECKING:
    from serving.sam.embedding import Embedding
    from serving.sam.engine import Engine

_CACHE_BYTES = 2 << 30


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One of the masks that a prompt may mean.

    Attributes:
        mask: (h, w) bool in the frame that was asked for.
        score: the network's own estimate of its IoU.
        stability: IoU of the mask under two cut-offs of the logits; 0 where nobody measured it.
    """

    mask: NDArray[np.bool_]
    score: float
    stability: float


class Segmenter(Protocol):
    """Makes masks of an image that it has prepared; safe to use from several threads."""

    name: str

    def prepare(self, image: OpenImage) -> None:
        """Do once an image what every prompt on it needs."""

    def is_prepared(self, image: OpenImage) -> bool:
        """Whether a prompt on the image needs nothing else first."""

    def candidates(self, image: OpenImage, prompt: Prompt, longest: int) -> list[Candidate]:
        """The masks that a prompt may mean: three for a single point, else one.

        Args:
            image: the image; prepared first where it is not.
            prompt: in pixels of the image.
            longest: at most so many pixels have the masks' longer side; 0 for those of the image.
        """

    def everything(self, image: OpenImage) -> list[MaskRecord]:
        """The masks of everything in the image, best first."""


class LocalSegmenter:
    """The engine of this machine.

    Args:
        engine: with its loaded network.
    """

    def __init__(self, engine: Engine) -> None:
        self.name = engine.checkpoint.name
        self._engine = engine
        self._embeddings = EmbeddingCache(_CACHE_BYTES)

    def prepare(self, image: OpenImage) -> None:
        """Embed the image, unless its embedding is at hand."""
        self._embedding(image)

    def is_prepared(self, image: OpenImage) -> bool:
        """Whether the image's embedding is at hand."""
        return self._embeddings.peek(image.digest) is not None

    def candidates(self, image: OpenImage, prompt: Prompt, longest: int) -> list[Candidate]:
        """Decode a prompt.

        Raises:
            PromptError: the prompt lies outside the image.
        """
        height, width = image.size_hw
        prompt.check_inside(width, height, "prompt")
        frame = fit_frame(image.size_hw, longest)
        # A mask of another size than the image's costs less where nobody sees the difference.
        whole = self._embedding(image)
        embedding = dataclasses.replace(
            whole, frame=dataclasses.replace(whole.frame, original_size_hw=frame)
        )
        prediction = self._engine.predict(
            embedding, scaled(prompt, image.size_hw, frame), multimask_output=is_ambiguous(prompt)
        )
        return [
            Candidate(mask, float(score), _stability(logits))
            for mask, score, logits in zip(
                prediction.masks, prediction.scores, prediction.logits, strict=True
            )
        ]

    def everything(self, image: OpenImage) -> list[MaskRecord]:
        """Generate automatic masks with the thresholds of the checkpoint."""
        return self._engine.generate(image.pixels)

    def _embedding(self, image: OpenImage) -> Embedding:
        embedding = self._embeddings.get(image.digest)
        if embedding is None:
            embedding = self._engine.embed(image.pixels)
            self._embeddings.put(image.digest, embedding)
        return embedding


def is_ambiguous(prompt: Prompt) -> bool:
    """Whether a prompt may mean several things: a single point, without a box."""
    return len(prompt.points) == 1 and prompt.box_xyxy is None


def fit_frame(size_hw: tuple[int, int], longest: int) -> tuple[int, int]:
    """Height and width of the image, scaled down so that the longer is at most ``longest``."""
    scale = min(1.0, longest / max(size_hw)) if longest else 1.0
    return max(round(size_hw[0] * scale), 1), max(round(size_hw[1] * scale), 1)


def scaled(prompt: Prompt, size_hw: tuple[int, int], frame_hw: tuple[int, int]) -> Prompt:
    """A prompt in pixels of the image as a prompt in pixels of a frame."""
    y_scale, x_scale = frame_hw[0] / size_hw[0], frame_hw[1] / size_hw[1]
    box = None
    if prompt.box_xyxy is not None:
        x0, y0, x1, y1 = prompt.box_xyxy
        box = (x0 * x_scale, y0 * y_scale, x1 * x_scale, y1 * y_scale)
    return dataclasses.replace(
        prompt,
        points=tuple((x * x_scale, y * y_scale) for x, y in prompt.points),
        box_xyxy=box,
    )


def _stability(logits: NDArray[np.float32]) -> float:
    """IoU of the mask under two cut-offs, as ``amg.calculate_stability_score`` measures it."""
    outer = int((logits > -1).sum())
    return int((logits > 1).sum()) / outer if outer else 0.0
