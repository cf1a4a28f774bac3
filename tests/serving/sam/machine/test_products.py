"""Products by oneDNN are PyTorch's, whatever lies between the numbers in memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from serving.sam.machine import products
from serving.sam.machine.products import add_products, linear, linear_plus


@pytest.fixture(params=[True, False], ids=["as it is here", "without oneDNN"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(products, "has_onednn", lambda _dtype: False)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("gaps", [False, True], ids=["dense", "with gaps"])
def test_linear_is_the_ordinary_one(gaps: bool) -> None:
    torch.manual_seed(0)
    value = torch.randn(2, 33, 2, 20)[:, :, 1] if gaps else torch.randn(2, 33, 20)
    weight, bias, plus = torch.randn(7, 20), torch.randn(7), torch.randn(2, 33, 7)
    with torch.inference_mode():
        expected = F.linear(value, weight, bias)
        torch.testing.assert_close(linear(value, weight, bias), expected)
        torch.testing.assert_close(linear(value, weight), expected - bias)
        torch.testing.assert_close(linear(value, weight, bias, gelu=True), F.gelu(expected))
        torch.testing.assert_close(linear_plus(plus, value, weight, bias), expected + plus)
        torch.testing.assert_close(linear_plus(plus, value, weight), expected - bias + plus)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("batch", [1, 3])
def test_add_products_adds_them(batch: int) -> None:
    torch.manual_seed(0)
    start = torch.randn(batch, 5, 2, 11)[:, :, 1].contiguous()
    value, weight = torch.randn(batch, 5, 8), torch.randn(batch, 11, 8)
    added = value @ weight.transpose(1, 2)
    expected = start + added
    with torch.inference_mode():
        torch.testing.assert_close(products.products(value, weight), added)
        torch.testing.assert_close(add_products(start.clone(), value, weight), expected)


ON_AVX2 = """
import numpy as np
from serving.sam.engine import Engine
from serving.sam.prompts import Prompt
from tests.conftest import draw_scene

engine = Engine.load("vit_tiny", device="cpu", precision="bf16")
prompt = Prompt(points=((80.0, 95.0),), labels=(1,))
mask = engine.predict(engine.embed(draw_scene()), prompt, multimask_output=False).masks[0]
print(int(mask[95, 80]), int(mask[80, 220]))
"""


def test_bf16_works_on_a_processor_without_avx512() -> None:
    """oneDNN refuses bfloat16 there: hosts with a T4 (n1), and e2 and n2d machines."""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", ON_AVX2], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "0"]
