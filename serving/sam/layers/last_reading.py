"""The last attention of the mask decoder, and the first product of its upscaling, by low rank.

Both read a prompt's image tokens after their second write, of which ``low_rank_tokens`` has the
algebra. What both writes left there is ``rows``: L0' g2 above V1 g2, (2 * H * T, C).
"""

from __future__ import annotations

import torch

from serving.sam.layers.cross_attention import fold
from serving.sam.layers.low_rank_tokens import SecondTokens
from serving.sam.layers.shared_projections import SharedProjections, Writes
from serving.sam.machine.products import linear


def questions(writes: Writes, queries: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Queries (B, H, M, D) times the keys of ``rows`` (B, 2 * H * T, C): (B, H * M, 2 * H * T)."""
    return fold(queries, writes.final.key_weights) @ rows.transpose(1, 2)


def read_second(
    writes: Writes,
    image: SharedProjections,
    queries: torch.Tensor,
    small: torch.Tensor,
    tokens: SecondTokens,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What some tokens of one prompt read of its image tokens.

    Args:
        writes: weights of the model.
        image: that the prompt points into.
        queries: (H, M, D) of the tokens.
        small: (H * M, 2 * H * T) of ``questions``.
        tokens: the image tokens.

    Returns:
        What they read of ``u``, (H, M, D), and how much of each of ``rows``, (H * M, 2 * H * T).
    """
    first, second = small.chunk(2, 1)
    asked = torch.bmm(queries, image.final_keys).flatten(0, 1)
    asked.add_(linear(first, tokens.first_weights.T)).mul_(tokens.first_scale)
    asked.add_(linear(second, tokens.weights.T)).mul_(tokens.scale)
    asked = asked.unflatten(0, queries.shape[:2]).baddbmm_(queries, writes.final.key_positions)
    reading = asked.softmax(-1).mul_(tokens.scale)
    of_second = linear(reading.flatten(0, 1), tokens.weights)
    reading.mul_(tokens.first_scale)
    of_first = linear(reading.flatten(0, 1), tokens.first_weights)
    # For a single token MKL's product adds up a whole image one after the other and loses a digit.
    read = torch.stack(
        [(reading[:, each, None] * image.final_values).sum(-1) for each in range(queries.shape[1])],
        dim=1,
    )
    return read, torch.cat([of_first, of_second], 1)


def output(
    writes: Writes, read: torch.Tensor, of_rows: torch.Tensor, rows: torch.Tensor
) -> torch.Tensor:
    """Output (B, M, C) of the reading, from what ``read_second`` returned, stacked."""
    final = writes.final
    values = torch.einsum(
        "bhmc,hdc->bmhd", (of_rows @ rows).unflatten(1, (writes.heads, -1)), final.value_weights
    )
    values = values + read.transpose(1, 2) + final.value_weights @ writes.second_bias
    return final.project_out(values.flatten(2))


def first_product(
    writes: Writes,
    image: SharedProjections,
    rows: torch.Tensor,
    bias: torch.Tensor,
    tokens: SecondTokens,
    extent: tuple[int, int],
) -> torch.Tensor:
    """The first product of the upscaling of one prompt's image tokens.

    Args:
        writes: weights of the model.
        image: that the prompt points into.
        rows: (2 * H * T, C) of the prompt.
        bias: (4 * out,) of the product.
        tokens: the image tokens.
        extent: rows and columns of positions to compute.

    Returns:
        (1, rows * columns, 4 * out) float32.
    """
    side = int(len(tokens.scale) ** 0.5)

    def within(values: torch.Tensor) -> torch.Tensor:
        """Positions (..., N) that are wanted: (..., rows * columns)."""
        grid: torch.Tensor = values.unflatten(-1, (side, side))
        return grid[..., : extent[0], : extent[1]].flatten(-2)

    scale = within(tokens.scale)
    both = scale * within(tokens.first_scale)
    weights = torch.cat(
        [within(tokens.first_weights) * both, within(tokens.weights) * scale]
    ).T.contiguous()
    shared = image.upscaled.unflatten(0, (side, side))[: extent[0], : extent[1]].flatten(0, 1)
    constant = bias + writes.upscaling @ writes.second_bias
    small = linear(writes.upscaling, rows)
    return linear(weights, small, constant).addcmul_(shared, both[:, None])[None]
