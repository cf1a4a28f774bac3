"""An image's tokens, changed by a prompt, that are never made.

Twice a prompt's T tokens write to the image's N tokens of C channels (attention in H heads, then a
norm), and after each time they read it. What they write has little rank: a position gets a mix of
H * T values, 56 where C is 256. In these symbols (g, b, g2, b2 are the norms' gains and biases):

    c      (N, C)      the image's tokens and the first write's bias, centred (without their mean)
    u      (N, C)      c g; as c the same for all prompts on an image
    A0     (H * T, N)  attention weights of the first write: how much a position takes of a token
    V0     (H * T, C)  its values, centred;  L0 = V0 g;  L0' is L0, centred
    r1     (N,)        the first norm's scale

    first  =  r1 (u + A0^T L0) + b
    r1     =  1 / sqrt(|c + A0^T V0|^2 / C + eps)
           |c + A0^T V0|^2  =  |c|^2 + A0 . (2 V0 c^T + V0 V0^T A0)      summed over H * T

and the second write adds A1^T V1 to it, whose norm has the scale r2:

    second =  r2 (r1 (u' + A0^T L0') + A1^T V1) g2 + b2                  u' is u, centred

The weights of a head add up to one, so every row of V1 (centred as well) takes its part of b and of
the second write's bias. A product with such tokens is then r1 or r2 times one with ``u``, computed
once an image (``shared_projections``), and ones of small matrices with A0 and A1. So are the norms'
scales. A product of V with ``u`` is one of D channels, as V is a product with weights of the model.
The result is that of the official decoder, with sums in another order.

All of A0, A1 and the products lie as (H * T, N): wide. A small matrix times a wide one is
``linear(small, wide.T)``, whose transposed operand oneDNN takes as it lies.
"""

from __future__ import annotations

import dataclasses

import torch

from serving.sam.layers.cross_attention import fold
from serving.sam.layers.shared_projections import SharedProjections, Writes, centred
from serving.sam.machine.products import linear


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class FirstWrite:
    """What the tokens of a batch of prompts write first, and ask then.

    Attributes:
        keys: (B, H, T, D), whose products with the image are A0's.
        asked: (B, 3H, T, D), what ``SharedProjections.first`` is multiplied with.
        small: (B, 3 * H * T, H * T), what A0 is multiplied with for the same.
        gained, centred: (B, H * T, C), L0 and L0'.
    """

    keys: torch.Tensor
    asked: torch.Tensor
    small: torch.Tensor
    gained: torch.Tensor
    centred: torch.Tensor


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class SecondWrite:
    """What the tokens of a batch of prompts write second.

    Attributes:
        keys: (B, H, T, D).
        asked: (B, 2H, T, D), what ``SharedProjections.second`` is multiplied with.
        small: (B, 2 * H * T, H * T), what A0 is multiplied with for the same.
        square: (B, H * T, H * T), V1 V1^T.
        values: (B, H * T, C), V1.
    """

    keys: torch.Tensor
    asked: torch.Tensor
    small: torch.Tensor
    square: torch.Tensor
    values: torch.Tensor


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class FirstTokens:
    """One prompt's image tokens after its first write.

    Attributes:
        weights: (H * T, N), A0.
        scale: (N,), r1.
        square: (N,), of the centred ``r1 (u' + A0^T L0')``, without its factor ``r1^2``.
    """

    weights: torch.Tensor
    scale: torch.Tensor
    square: torch.Tensor


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class SecondTokens:
    """One prompt's image tokens after its second write.

    Attributes:
        first_weights: (H * T, N), A0.
        weights: (H * T, N), A1.
        first_scale, scale: (N,), r1 and r2.
    """

    first_weights: torch.Tensor
    weights: torch.Tensor
    first_scale: torch.Tensor
    scale: torch.Tensor


def first_write(
    writes: Writes, positioned: torch.Tensor, tokens: torch.Tensor, queries: torch.Tensor
) -> FirstWrite:
    """What a batch of prompts writes, and the queries by which it reads the result.

    Args:
        writes: weights of the model.
        positioned, tokens: (B, T, C) with their prompt added and without.
        queries: (B, H, T, D) of the second reading.
    """
    values = writes.writing.values(tokens)
    plain, gained = fold(values, writes.out), fold(values, writes.gained_out)
    gained_centred = centred(gained)
    asking = fold(queries, writes.second_reading.key_weights)
    return FirstWrite(
        keys=writes.writing.keys(positioned),
        asked=torch.cat([2 * values, 2 * values, queries], 1),
        small=torch.cat(
            [
                plain @ plain.transpose(1, 2),
                gained_centred @ gained_centred.transpose(1, 2),
                asking @ gained.transpose(1, 2),
            ],
            1,
        ),
        gained=gained,
        centred=gained_centred,
    )


def write_first(
    writes: Writes, image: SharedProjections, write: FirstWrite, number: int
) -> tuple[FirstTokens, torch.Tensor, torch.Tensor]:
    """Write one prompt's tokens to the image and read it.

    Returns:
        The image tokens, and what the tokens read of them: of ``u`` (H, T, D), and how much of
        each row of L0 (H * T, H * T).
    """
    heads, count = writes.heads, write.keys.shape[2]
    queries = write.asked[number, 2 * heads :]
    weights = torch.bmm(write.keys[number], image.write_queries).softmax(1).flatten(0, 1)
    products = linear(write.small[number], weights.T).unflatten(0, (3 * heads, count))
    products.baddbmm_(write.asked[number], image.first)
    norms, asked = (
        products[: 2 * heads].unflatten(0, (2, heads)).flatten(1, 2),
        products[2 * heads :],
    )
    squares = norms.mul_(weights).sum(1)
    # Rounding may leave a square of almost nothing below zero.
    variance = squares[0].add_(image.square).clamp_(min=0).div_(writes.channels)
    scale = variance.add_(writes.epsilons[0]).rsqrt_()
    asked.mul_(scale).baddbmm_(queries, writes.second_reading.key_positions)
    reading = asked.softmax(-1).mul_(scale)
    read = torch.bmm(reading, image.values.transpose(1, 2))
    of_rows = linear(reading.flatten(0, 1), weights)
    square = squares[1].add_(image.second_square)
    return FirstTokens(weights, scale, square), read, of_rows


def read_first(
    writes: Writes, write: FirstWrite, read: torch.Tensor, of_rows: torch.Tensor
) -> torch.Tensor:
    """Output (B, T, C) of the second reading, from what ``write_first`` returned, stacked."""
    reading = writes.second_reading
    rows = (of_rows @ write.gained).unflatten(1, (writes.heads, -1))
    values = torch.einsum("bhtc,hdc->bthd", rows, reading.value_weights) + read.transpose(1, 2)
    return reading.project_out((values + reading.value_weights @ writes.bias).flatten(2))


def second_write(
    writes: Writes, positioned: torch.Tensor, tokens: torch.Tensor, first: FirstWrite
) -> SecondWrite:
    """What a batch of prompts writes second; arguments as of ``first_write``."""
    keys, values = writes.second_writing.keys(positioned), writes.second_writing.values(tokens)
    asking = fold(keys, writes.second_writing.query_weights)
    written = fold(values, writes.second_out) + writes.constant
    return SecondWrite(
        keys=keys,
        asked=torch.cat([keys, values], 1),
        small=torch.cat(
            [
                asking @ first.gained.transpose(1, 2),
                written @ first.centred.transpose(1, 2),
            ],
            1,
        ),
        square=written @ written.transpose(1, 2),
        values=written,
    )


def write_second(
    writes: Writes, image: SharedProjections, write: SecondWrite, number: int, tokens: FirstTokens
) -> SecondTokens:
    """Write one prompt's tokens to the image tokens of its first write."""
    heads, count = writes.heads, write.keys.shape[2]
    products = linear(write.small[number], tokens.weights.T).unflatten(0, (2 * heads, count))
    products.baddbmm_(write.asked[number], image.second)
    asked, changed = products[:heads], products[heads:].flatten(0, 1)
    asked.mul_(tokens.scale).baddbmm_(write.keys[number], writes.write_positions)
    weights = asked.softmax(1).flatten(0, 1)
    changed.add_(image.second_bias).mul_(2 * tokens.scale)
    changed.add_(linear(write.square[number], weights.T)).mul_(weights)
    square = changed.sum(0).add_(tokens.square * tokens.scale.square())
    scale = square.clamp_(min=0).div_(writes.channels).add_(writes.epsilons[1]).rsqrt_()
    return SecondTokens(tokens.weights, weights, tokens.scale, scale)
