"""What can go wrong in the core, and whose fault it is.

- SamError
    - InputError            the caller's input; the message says where, what is expected, what to do
        - ImageError        the image: not readable, too large, of an unknown kind
        - PromptError       the prompts: shape, label, outside the image
        - ParameterError    a setting of the automatic masks or of the engine
    - CheckpointError       the weights: missing, damaged, not SAM
    - NotFiniteError        the network computes NaN or infinity: its weights or the precision
    - DeviceError           the device or precision is not available on this machine

Every error that a user may see has two attributes, here and in the other packages:
``callers_fault`` (whether another input would fix it) and ``hint`` (what to do about it).
"""

from __future__ import annotations

from typing import ClassVar


class SamError(Exception):
    """Anything this package refuses or fails at.

    Attributes:
        callers_fault: whether the caller can fix it, by another input or another option.
        hint: what to do about it, in one line.
    """

    callers_fault: ClassVar[bool] = True
    hint: str = ""

    def __init__(self, message: object = "", *, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint


class InputError(SamError):
    """The caller's input is at fault; the message is safe to show to the caller."""


class ImageError(InputError):
    """The image cannot be used: unreadable, too large, of an unknown kind."""

    hint = "supported are JPEG, PNG, WebP, TIFF, BMP and AVIF"


class PromptError(InputError):
    """A prompt has a wrong shape or label, or lies outside its image."""

    hint = "prompts are pixels x, y from the image's top left; docs/running.md shows the file"


class ParameterError(InputError):
    """A setting is outside its range."""

    hint = "--help shows the range of each option"


class CheckpointError(SamError):
    """The checkpoint cannot be used: missing, damaged, unsafe or not SAM."""

    hint = "'sam-vertex checkpoint list' shows the known ones and which are here"


class DeviceError(SamError):
    """The asked device or precision is not available on this machine."""

    hint = "leave --precision at auto to take what this machine has"


class NotFiniteError(SamError):
    """The network computes NaN or infinity, so there is no mask; another input changes nothing."""

    callers_fault = False
    hint = "take an earlier checkpoint of the training, or --precision fp32"
