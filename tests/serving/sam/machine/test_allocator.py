"""In a process that asks for it, the allocator keeps freed memory."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
from serving.sam.machine.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
import numpy as np
np.ones(40_000_000 // 8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(40_000_000 // 8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CODE, mode], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_keep_freed_memory_avoids_the_page_faults_of_large_arrays() -> None:
    """Twenty arrays of 40 MB: fresh pages each time, or the same ones again."""
    assert page_faults("keep") * 10 < page_faults("plain")
