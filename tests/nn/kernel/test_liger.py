"""Liger's kernel equals the plain cross-entropy, on a GPU or in Triton's interpreter; where it cannot run, it says so.

TRITON_INTERPRET=1 makes Triton run its kernels on the processor and must be set before Triton is imported. So without a
GPU one test here runs this file again in a process of its own, where the tests of the kernel are not skipped.
"""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from helper.cross_entropy import gradients, plain, problem
from torch.utils._python_dispatch import TorchDispatchMode

from pte.nn.kernel import cross_entropy, liger
from pte.nn.loss.cross_entropy import CrossEntropy
from pte.schema import InputError

INSTALLED = all(find_spec(name) for name in ("liger_kernel", "triton"))
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")

needs_packages = pytest.mark.skipif(not INSTALLED, reason="needs liger-kernel and triton: pip install 'pte[gpu]'")
runs_the_kernel = pytest.mark.skipif(
    not (INSTALLED and (CUDA or INTERPRETED)), reason="needs liger-kernel, and a CUDA device or Triton's interpreter"
)


@pytest.fixture
def loss(monkeypatch):
    """`catalogue_cross_entropy` by Liger's kernel, let run on the processor too."""
    monkeypatch.setattr(liger, "DEVICES", ("cuda", "cpu"))
    monkeypatch.setattr(cross_entropy, "fast_dtype", lambda device: torch.bfloat16)

    def by_liger(hidden, table, target, **knobs):
        return cross_entropy.catalogue_cross_entropy(hidden, table, target, kernel="liger", **knobs)

    return by_liger


def at_hand(*tensors):
    """The same leaves where the kernel runs."""
    return [t.detach().to(DEVICE).requires_grad_(t.requires_grad) for t in tensors]


@pytest.mark.skipif(CUDA or INTERPRETED, reason="the tests of the kernel run in this process")
@needs_packages
def test_the_kernel_in_tritons_interpreter():
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "test_kernel", __file__]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "passed" in ran.stdout
    assert "skipped" not in ran.stdout


@runs_the_kernel
@pytest.mark.parametrize("chunk", [5, None])
@pytest.mark.parametrize("scale", [1.0, 20.0])  # flat and very peaked distributions
def test_kernel_equals_plain_cross_entropy(loss, chunk, scale):
    theirs = at_hand(*problem(scale=scale))
    by_liger, reference = loss(*theirs, total=50, chunk=chunk), plain(*theirs, 50)
    assert by_liger.item() == pytest.approx(reference.item(), rel=1e-5)
    for one, other in zip(gradients(by_liger, *theirs[:2]), gradients(reference, *theirs[:2]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-6)  # sums of 101 and 37 fp32 terms


@runs_the_kernel
def test_kernel_gives_padding_no_share_and_no_gradient(loss):
    hidden, table, target = at_hand(*problem())
    huge = table.detach().clone()
    huge[0] = 1e4
    huge.requires_grad_()
    with_huge = loss(hidden, huge, target, total=37)
    assert with_huge.item() == loss(hidden, table, target, total=37).item()
    assert gradients(with_huge, hidden, huge)[1][0].abs().max() == 0


@runs_the_kernel
def test_kernel_with_bfloat16_products_is_close_and_adds_up_in_float32(loss):
    hidden, table, target = at_hand(*problem(targets=64, width=16, num_items=150, scale=0.3))
    reference = plain(hidden, table, target, 64)
    by_liger = loss(hidden, table, target, total=64, chunk=16, product_dtype=torch.bfloat16)
    assert by_liger.item() == pytest.approx(reference.item(), rel=2e-3)
    made = gradients(by_liger, hidden, table)
    for one, other in zip(made, gradients(reference, hidden, table), strict=True):
        assert one.dtype == torch.float32
        assert 1e-4 < ((one - other).norm() / other.norm()).item() < 0.01
    assert (made[1] != made[1].bfloat16()).float().mean() > 0.5  # 1/64 rounds nothing: the sum has more than 8 bits


@runs_the_kernel
def test_kernel_minds_no_autocast_around_it(loss):
    hidden, table, target = at_hand(*problem())
    with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
        inside = loss(hidden, table, target, total=37)
    assert inside.item() == loss(hidden, table, target, total=37).item()


@runs_the_kernel
def test_kernel_gives_half_precision_states_gradients_of_their_own_dtype(loss):
    hidden, table, target = at_hand(*problem())
    low = hidden.detach().bfloat16().requires_grad_()
    grads = gradients(loss(low, table, target, total=37), low, table)
    assert [g.dtype for g in grads] == [torch.bfloat16, torch.float32]


@runs_the_kernel
@pytest.mark.parametrize("wanted", [0, 1])
def test_kernel_makes_the_one_gradient_requested(loss, wanted):
    *leaves, target = at_hand(*problem())
    whole = gradients(loss(*leaves, target, total=37), *leaves)[wanted]
    leaves[1 - wanted] = leaves[1 - wanted].detach()
    loss(*leaves, target, total=37).backward()
    torch.testing.assert_close(leaves[wanted].grad, whole)
    assert leaves[1 - wanted].grad is None


@runs_the_kernel
def test_kernel_without_targets_is_zero_with_zero_gradients(loss):
    hidden, table, target = at_hand(*problem())
    nothing = loss(hidden[:0], table, target[:0], total=9)
    assert nothing.item() == 0
    assert gradients(nothing, hidden, table)[1].abs().max() == 0


class Products(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket is torch.ops.aten.mm
        return func(*args, **(kwargs or {}))


@runs_the_kernel
@pytest.mark.parametrize(("chunk", "chunks"), [(4, 10), (37, 2), (None, 1)])  # Liger's own is 4 rows of these 37
def test_kernel_takes_about_the_rows_requested(loss, chunk, chunks):
    with Products() as products:
        loss(*at_hand(*problem()), total=37, chunk=chunk)
    assert products.count == 3 * chunks


def test_a_processor_is_refused_with_what_to_type():
    by_liger = CrossEntropy(kernel="liger")
    with pytest.raises(InputError, match=r"on the cpu: take backbone\.loss\.kernel=chunked, or trainer\."):
        by_liger(*problem(), total=37)


def test_a_missing_package_is_reported_with_what_to_type(loss, monkeypatch):
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers.functional", None)
    with pytest.raises(InputError, match=r"pip install 'pte\[gpu\]', or take backbone\.loss\.kernel=chunked"):
        loss(*problem(), total=37)


def test_an_unknown_kernel_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="kernel=fused: take one of chunked, liger"):
        CrossEntropy(kernel="fused")


def test_liger_is_imported_by_its_first_call_only():
    code = (
        "import sys, pte.nn.loss.cross_entropy; sys.exit(any(n.startswith(('liger', 'triton')) for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
