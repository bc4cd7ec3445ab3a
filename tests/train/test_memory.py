import os
import platform
import resource

import pytest
import torch

from pte.nn.kernel.allocation import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_a_block_freed_is_taken_again_without_new_pages():
    assert keep_freed_memory()
    pages = 3 * 2**20 // os.sysconf("SC_PAGE_SIZE")

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.zeros(3 * 2**18)  # 3 MiB, freed at once
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    # the heap grows, and holes that other tests have left in it are tried first
    assert min(faults() for _ in range(50)) < pages / 10
