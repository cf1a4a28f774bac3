"""What can go wrong in the core, and whose fault it is.

- SamError
    - InputError            the caller's input; the message names place, expectation and way out
        - ImageError        the image: not readable, too large, of an unknown kind
        - PromptError       the prompts: shape, label, outside the image
        - ParameterError    a setting of the automatic masks or of the engine
    - CheckpointError       the weights: missing, damaged, not SAM
    - DeviceError           the device or precision cannot be had on this machine
"""


class SamError(Exception):
    """Anything this package refuses or fails at."""


class InputError(SamError):
    """The caller's input is at fault; the message is safe to show to the caller."""


class ImageError(InputError):
    """The image cannot be used: unreadable, too large, of an unknown kind."""


class PromptError(InputError):
    """A prompt has a wrong shape or label, or lies outside its image."""


class ParameterError(InputError):
    """A setting is outside its range."""


class CheckpointError(SamError):
    """The checkpoint cannot be used: missing, damaged, unsafe or not SAM."""


class DeviceError(SamError):
    """The asked device or precision is not available on this machine."""
