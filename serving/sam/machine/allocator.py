"""Keep freed memory in the process, where the C library is glibc.

SAM allocates and frees tensors of hundreds of megabytes. By default glibc returns each to the
kernel and gets zeroed pages for the next; on a CPU the page faults more than double the time of an
image (mallopt(3): M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD).
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER = -1
_TOP_PAD_BYTES = 64 << 20


def keep_freed_memory() -> bool:
    """Make the allocator keep and reuse freed memory; return whether it accepted that.

    For the entry point of a process that runs the networks on a CPU, before the first tensor.
    The process then holds on to its peak memory until it ends.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library, as on Alpine
        return False
    settings = (
        (_M_MMAP_MAX, 0),
        (_M_TRIM_THRESHOLD, _NEVER),
        (_M_TOP_PAD, _TOP_PAD_BYTES),
    )
    results = [mallopt(name, value) for name, value in settings]
    return results == [1] * len(settings)
