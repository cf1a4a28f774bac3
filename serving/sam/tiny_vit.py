"""TinyViT, the image encoder of MobileSAM, with the names of its published weights.

Written from the paper (Wu et al., 2022, https://arxiv.org/abs/2207.10666) and from the layout of
the official checkpoint (https://github.com/ChaoningZhang/MobileSAM, ``tiny_vit_sam.py``), whose
function it has. Four stages: convolutions at a quarter of the image's side, then attention in
windows at an eighth and a sixteenth. Tokens lie as (B, H, W, C) all through, which is what PyTorch
calls ``channels_last`` for a convolution, so that nothing is copied between the two.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)  # of the first stage, which has no attention, unused
WINDOWS = (7, 7, 14, 7)
_EXPANSION = 4  # hidden channels of a convolution block and of an MLP
_HEAD_CHANNELS = 32


class _BatchNorm(nn.Module):
    """Statistics of a batch norm; the convolution before it takes them in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.running_mean: torch.Tensor
        self.running_var: torch.Tensor


class _Convolution(nn.Module):
    """A convolution and its batch norm, as one convolution with a bias."""

    def __init__(self, read: int, make: int, size: int = 1, stride: int = 1, groups: int = 1):
        super().__init__()
        self.c = nn.Conv2d(read, make, size, stride, size // 2, groups=groups, bias=False)
        self.bn = _BatchNorm(make)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve tokens (B, H, W, C)."""
        scale = self.bn.weight * (self.bn.running_var + 1e-5).rsqrt()
        weight = self.c.weight * scale[:, None, None, None]
        bias = self.bn.bias - self.bn.running_mean * scale
        if self.c.kernel_size == (1, 1):
            return F.linear(x, weight.flatten(1), bias)
        convolved = F.conv2d(
            x.permute(0, 3, 1, 2), weight, bias, self.c.stride, self.c.padding, groups=self.c.groups
        )
        return convolved.permute(0, 2, 3, 1)


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = _Convolution(3, width // 2, 3, 2), _Convolution(width // 2, width, 3, 2)
        self.seq = nn.Sequential(first, nn.GELU(), second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        embedded: torch.Tensor = self.seq(x)
        return embedded


class _ConvolutionBlock(nn.Module):
    """Wider, filtered, narrower again, and added (MobileNet's inverted bottleneck)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = _EXPANSION * width
        self.conv1 = _Convolution(width, hidden)
        self.conv2 = _Convolution(hidden, hidden, 3, groups=hidden)
        self.conv3 = _Convolution(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(hidden))


class _Merging(nn.Module):
    """To the next stage's channels, and with stride 2 to half the side."""

    def __init__(self, width: int, to: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _Convolution(width, to)
        self.conv2 = _Convolution(to, to, 3, stride, groups=to)
        self.conv3 = _Convolution(to, to)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        merged: torch.Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return merged


@functools.lru_cache(maxsize=8)
def _distances(window: int, device: torch.device) -> torch.Tensor:
    """Which bias each pair of a window's positions has: (N, N), by distance in rows and columns."""
    position = torch.arange(window * window, device=device)
    y, x = position // window, position % window
    return (y[:, None] - y).abs() * window + (x[:, None] - x).abs()


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attention within each of the windows (W, N, C)."""
        windows, positions, _ = x.shape
        mixed = self.qkv(self.norm(x)).view(windows, positions, self.heads, 3, _HEAD_CHANNELS)
        q, k, v = mixed.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, _distances(self.window, x.device)].to(q.dtype)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        projected: torch.Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return projected


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, _EXPANSION * width)
        self.fc2 = nn.Linear(_EXPANSION * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return changed


class _AttentionBlock(nn.Module):
    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.attn = _Attention(width, heads, window)
        self.local_conv = _Convolution(width, width, 3, groups=width)
        self.mlp = _Mlp(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.local_conv(x + self._in_windows(x))
        changed: torch.Tensor = x + self.mlp(x)
        return changed

    def _in_windows(self, x: torch.Tensor) -> torch.Tensor:
        batch, height, width, channels = x.shape
        window = self.attn.window
        # Positions beyond the edge take part: zero before the norm, as the weights were trained.
        x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
        rows, columns = x.shape[1] // window, x.shape[2] // window
        parts = x.view(batch, rows, window, columns, window, channels).transpose(2, 3)
        attended = self.attn(parts.reshape(-1, window * window, channels))
        whole: torch.Tensor = attended.view(
            batch, rows, columns, window, window, channels
        ).transpose(2, 3)
        return whole.reshape(batch, rows * window, columns * window, channels)[:, :height, :width]


class _Stage(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        width, last = WIDTHS[number], number == len(WIDTHS) - 1
        self.blocks = nn.ModuleList(
            _AttentionBlock(width, HEADS[number], WINDOWS[number])
            if number
            else _ConvolutionBlock(width)
            for _ in range(DEPTHS[number])
        )
        # MobileSAM keeps a sixteenth of the side, where TinyViT halves it once more.
        stride = 1 if number == len(WIDTHS) - 2 else 2
        self.downsample = None if last else _Merging(width, WIDTHS[number + 1], stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class _ChannelNorm(nn.Module):
    """A layer norm over the channels of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.permute(0, 2, 3, 1).float()
        normed = F.layer_norm(tokens, self.weight.shape, self.weight, self.bias, 1e-6)
        return normed.permute(0, 3, 1, 2)


class TinyViT(nn.Module):
    """The image encoder of MobileSAM.

    Args:
        img_size: side of the square that it sees, in pixels.
        out_chans: channels of the embedding.
    """

    def __init__(self, img_size: int, out_chans: int) -> None:
        super().__init__()
        self.img_size = img_size
        self.patch_embed = _PatchEmbedding(WIDTHS[0])
        self.layers = nn.ModuleList(_Stage(number) for number in range(len(WIDTHS)))
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], out_chans, 1, bias=False),
            _ChannelNorm(out_chans),
            nn.Conv2d(out_chans, out_chans, 3, padding=1, bias=False),
            _ChannelNorm(out_chans),
        )

    def forward(self, square: torch.Tensor) -> torch.Tensor:
        """The embedding (1, C, S / 16, S / 16) float32 of a prepared square (1, 3, S, S)."""
        x = self.patch_embed(square.permute(0, 2, 3, 1))
        for layer in self.layers:
            x = layer(x)
        features: torch.Tensor = self.neck(x.permute(0, 3, 1, 2))
        return features.contiguous()
