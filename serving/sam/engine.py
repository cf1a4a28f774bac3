"""Images in, masks out: one loaded network, used by the container, the pipeline and the scripts.

The engine keeps no state of a request. What belongs to an image travels in an :class:`Embedding`,
so threads may share an engine and a caller may keep embeddings as long as it likes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from serving.sam.automatic import AutomaticSettings
from serving.sam.checkpoints import CheckpointEntry, LoadedCheckpoint, load_checkpoint
from serving.sam.errors import DeviceError, ParameterError
from serving.sam.images import RgbImage
from serving.sam.masks import MaskRecord
from serving.sam.prompts import Prompt

if TYPE_CHECKING:
    import torch
    from segment_anything import SamPredictor

    from serving.sam.generator import Network

Precision = Literal["auto", "fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "bf16", "fp16")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What the image encoder made of one image; every prompt on that image starts here.

    Attributes:
        features: (1, C, G, G) float32 on the engine's device.
        original_size_hw: the image's size in pixels.
        input_size_hw: its size after scaling to the network's frame, before padding.
    """

    features: torch.Tensor
    original_size_hw: tuple[int, int]
    input_size_hw: tuple[int, int]

    @property
    def size_bytes(self) -> int:
        """Memory that keeping it costs."""
        return self.features.numel() * self.features.element_size()


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The masks of one prompt.

    Attributes:
        masks: (K, H, W) bool in the image's own pixels; K is 3 for several masks, else 1.
        scores: (K,) float32, the predicted IoU of each.
        logits: (K, 4G, 4G) float32 low-resolution logits; one of them, with its leading axis, is
            a ``mask_input`` for the next prompt on the same image.
        stability: (K,) float32, IoU of each mask under the cut-offs +1 and -1.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    logits: NDArray[np.float32]
    stability: NDArray[np.float32]


def choose_device(name: str = "auto") -> torch.device:
    """Return the device to compute on: the first GPU for ``auto`` where there is one.

    Raises:
        DeviceError: the name is unknown or the device is not on this machine.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device {name!r} is unknown; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {name!r}: no CUDA GPU is visible here; use cpu or auto")
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r} is not supported; use auto, cpu or cuda")
    return device


def choose_precision(name: Precision, device: torch.device) -> Precision:
    """Return the precision to compute in; ``auto`` is exact on a CPU and fast on a GPU.

    Raises:
        DeviceError: the device cannot compute in it.
    """
    import torch

    if name not in PRECISIONS:
        raise DeviceError(f"precision {name!r} is unknown; use one of {', '.join(PRECISIONS)}")
    if name == "auto":
        if device.type == "cpu":
            return "fp32"
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs a GPU; on a CPU use bf16 (fast) or fp32 (exact)")
    return name


class Engine:
    """Segment Anything on one device.

    The engine takes the loaded network over: it moves it to the device and sets its precision, so
    load a checkpoint anew for a second engine.

    Attributes:
        checkpoint: the loaded network and its origin.
        device: where it computes.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """

    def __init__(
        self, checkpoint: LoadedCheckpoint, *, device: str = "auto", precision: Precision = "auto"
    ) -> None:
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.checkpoint = checkpoint
        self._sam = checkpoint.sam.to(self.device)
        self._network = self._build_network()
        if self.precision != "fp32":
            # Prompts, thresholds and mask scaling stay in float32 around the networks.
            decoder = self._sam.mask_decoder
            decoder.forward = _in_precision(decoder.forward, self.device, self.precision)

    def _build_network(self) -> Network:
        import torch
        from segment_anything.utils.transforms import ResizeLongestSide

        from serving.sam.decoder import FastDecoder
        from serving.sam.encoder import FastEncoder
        from serving.sam.generator import Network

        types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        with torch.inference_mode():
            encoder = FastEncoder(self._sam.image_encoder, types[self.precision])
            decoder = FastDecoder(self._sam, types[self.precision])
        transform = ResizeLongestSide(self._sam.image_encoder.img_size)

        def embed(image: RgbImage) -> tuple[torch.Tensor, tuple[int, int]]:
            scaled = torch.as_tensor(transform.apply_image(image), device=self.device)
            pixels = scaled.permute(2, 0, 1)[None].contiguous()
            input_size_hw = int(pixels.shape[2]), int(pixels.shape[3])
            return encoder(self._sam.preprocess(pixels)), input_size_hw

        return Network(self._sam, decoder, embed)

    @classmethod
    def load(
        cls,
        path: Path,
        entry: CheckpointEntry | None = None,
        *,
        device: str = "auto",
        precision: Precision = "auto",
    ) -> Engine:
        """Return an engine with the weights of a file.

        Raises:
            CheckpointError: the file cannot be used.
            DeviceError: the device or precision is not available.
        """
        chosen = choose_device(device)
        choose_precision(precision, chosen)
        return cls(load_checkpoint(path, entry), device=str(chosen), precision=precision)

    def embed(self, image: RgbImage) -> Embedding:
        """Run the image encoder.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        import torch

        with torch.inference_mode():
            features, input_size_hw = self._network.embed(_checked(image))
        return Embedding(features, (image.shape[0], image.shape[1]), input_size_hw)

    def predict(
        self,
        embedding: Embedding,
        prompt: Prompt,
        *,
        multimask_output: bool,
        mask_input: NDArray[np.float32] | None = None,
    ) -> Prediction:
        """Return the masks of one prompt, as ``SamPredictor.predict`` gives them.

        Args:
            embedding: of the image that the prompt points into.
            prompt: points and box in pixels of the image.
            multimask_output: three candidates (best for one click) or one mask.
            mask_input: (1, 4G, 4G) float32 logits of an earlier prediction on this image.

        Raises:
            PromptError: the prompt lies outside the image.
            ParameterError: ``mask_input`` has another shape.
        """
        import torch

        height, width = embedding.original_size_hw
        prompt.check_inside(width, height, "prompt")
        side = self.checkpoint.architecture.mask_input_size
        if mask_input is not None and mask_input.shape != (1, side, side):
            raise ParameterError(
                f"mask_input: expected shape (1, {side}, {side}), got {mask_input.shape}"
            )
        predictor = self._predictor()
        predictor.features = embedding.features
        predictor.original_size = embedding.original_size_hw
        predictor.input_size = embedding.input_size_hw
        predictor.is_image_set = True
        with torch.inference_mode():
            full, scores, logits = predictor.predict(
                point_coords=np.array(prompt.points) if prompt.points else None,
                point_labels=np.array(prompt.labels) if prompt.points else None,
                box=np.array(prompt.box_xyxy) if prompt.box_xyxy else None,
                mask_input=mask_input,
                multimask_output=multimask_output,
                return_logits=True,
            )
        threshold = self._sam.mask_threshold
        inner = np.count_nonzero(full > threshold + 1, axis=(1, 2))
        outer = np.count_nonzero(full > threshold - 1, axis=(1, 2))
        stability = (inner / np.maximum(outer, 1)).astype(np.float32)
        return Prediction(full > threshold, scores, logits, stability)

    def segment(self, embedding: Embedding, prompts: Iterable[Prompt]) -> list[MaskRecord]:
        """Return the best mask of each prompt, in order.

        A single point is ambiguous, so three candidates are asked for and the one that the model
        rates best is taken; points in plural or a box name one object and get one mask.

        Raises:
            PromptError: a prompt lies outside the image.
        """
        import torch

        from serving.sam.prompted import segment_prompts

        height, width = embedding.original_size_hw
        asked = list(prompts)
        for number, prompt in enumerate(asked):
            prompt.check_inside(width, height, "prompt" if len(asked) == 1 else f"prompt {number}")
        with torch.inference_mode():
            return segment_prompts(
                self._network,
                embedding.features,
                embedding.input_size_hw,
                embedding.original_size_hw,
                asked,
            )

    def generate(
        self, image: RgbImage, settings: AutomaticSettings | None = None
    ) -> list[MaskRecord]:
        """Return the masks of everything in the image, best first.

        Args:
            image: (H, W, 3) uint8 RGB.
            settings: by default those that suit the checkpoint.
        """
        import torch

        from serving.sam.generator import generate

        with torch.inference_mode():
            return generate(self._network, _checked(image), settings or self.checkpoint.automatic)

    def _predictor(self) -> SamPredictor:
        from segment_anything import SamPredictor

        return SamPredictor(self._sam)


def _checked(image: RgbImage) -> RgbImage:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ParameterError(
            f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}"
        )
    return image


def _in_precision(
    forward: Callable[..., Any], device: torch.device, precision: Precision
) -> Callable[..., Any]:
    """Wrap a module's forward: compute in half precision, hand out float32."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float16

    def widen(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.float()
        return tuple(widen(item) for item in value)

    @functools.wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device.type, dtype):
            return widen(forward(*args, **kwargs))

    return cast("Callable[..., Any]", run)
