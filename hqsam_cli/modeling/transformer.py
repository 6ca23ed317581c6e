"""SAM's two-way transformer between prompt tokens and image pixels.

Two optimizations are exact. Without mask prompts, the image side of the first layer is the same for all prompts of an
image: it is computed once per image and gathered by `image_index`. Without gradients, attention between few tokens and
many pixels multiplies the tokens with the projection weights of the pixels; training rounds like the authors' code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import MLPBlock, layer_norm


def per_prompt(x: Tensor, image_index: Tensor | None) -> Tensor:
    """Gather a per-image tensor (B, ...) for each prompt, (P, ...); with index None `x` is already per prompt.

    For a single image the result is a view.
    """
    if image_index is None:
        return x
    if x.shape[0] == 1:
        return x.expand(image_index.shape[0], *x.shape[1:])
    return x[image_index]


class Attention(nn.Module):
    """Multi-head attention whose inner dimension may be downsampled."""

    def __init__(self, embed_dim: int, heads: int, downsample: int = 1) -> None:
        super().__init__()
        inner = embed_dim // downsample
        self.heads = heads
        self.q_proj = nn.Linear(embed_dim, inner)
        self.k_proj = nn.Linear(embed_dim, inner)
        self.v_proj = nn.Linear(embed_dim, inner)
        self.out_proj = nn.Linear(inner, embed_dim)

    def plain(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        q_index: Tensor | None = None,
        kv_index: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Attention of `q` over `k` and `v`.

        Args:
            q: (P, N, C), or (B, N, C) with `q_index`.
            k, v: (P, M, C), or (B, M, C) with `kv_index`.
            q_index, kv_index: long (P,), image index of each prompt; gathered after the projections.
            valid: bool (P, M), False for padding keys; None without padding.

        Returns:
            (P, N, C).
        """
        queries = per_prompt(self._split(self.q_proj(q)), q_index)
        keys = per_prompt(self._split(self.k_proj(k)), kv_index)
        values = per_prompt(self._split(self.v_proj(v)), kv_index)
        mask = None if valid is None else valid[:, None, None, :]
        out = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        y: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return y

    def _split(self, x: Tensor) -> Tensor:
        out: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return out

    def _of_heads(self, projection: nn.Linear) -> Tensor:
        """Weight of an input projection by heads: (heads, inner / heads, C)."""
        weight: Tensor = projection.weight.unflatten(0, (self.heads, -1))
        return weight


class SelfAttention(Attention):
    """Self-attention of tokens."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *, valid: Tensor | None) -> Tensor:
        """See `Attention.plain`."""
        return self.plain(q, k, v, valid=valid)


class TokensToImage(Attention):
    """Cross-attention of few tokens to many pixels.

    Projecting N pixels to keys and values takes N * C * inner multiplications, for only T tokens. Instead, the
    projection weights are multiplied with the queries, and the pixels with one vector per token and head.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *, kv_index: Tensor | None = None) -> Tensor:
        """See `Attention.plain`; pixels shared by the prompts of an image are projected once per image."""
        if torch.is_grad_enabled() or kv_index is not None:
            return self.plain(q, k, v, kv_index=kv_index)
        queries = self._split(self.q_proj(q))
        queries = queries * queries.shape[-1] ** -0.5
        # The key bias is omitted: it adds a constant to all scores of a token, which cancels in the softmax.
        scores = (queries @ self._of_heads(self.k_proj)).flatten(1, 2) @ k.transpose(1, 2)
        seen = (scores.softmax(dim=-1) @ v).unflatten(1, (self.heads, -1))
        values = (seen @ self._of_heads(self.v_proj).transpose(1, 2)).transpose(1, 2).flatten(2)
        y: Tensor = self.out_proj(values + self.v_proj.bias)
        return y


class ImageToTokens(Attention):
    """Cross-attention of many pixels to few tokens, optimized as in `TokensToImage`."""

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, q_index: Tensor | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """See `Attention.plain`; pixels (P, N, C), tokens (P, T, C)."""
        if torch.is_grad_enabled():
            return self.plain(q, k, v, q_index=q_index, valid=valid)
        keys, values = self._split(self.k_proj(k)), self._split(self.v_proj(v))
        keys = keys * keys.shape[-1] ** -0.5
        if q_index is None:
            offsets = keys @ self.q_proj.bias.unflatten(0, (self.heads, -1, 1))
            weights = (keys @ self._of_heads(self.q_proj)).flatten(1, 2)
            scores = (weights @ q.transpose(1, 2)).unflatten(1, (self.heads, -1)) + offsets
        else:
            queries = self._split(self.q_proj(q)).transpose(2, 3).contiguous()  # twice as fast
            scores = keys @ per_prompt(queries, q_index)
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None, :, None], -torch.inf)
        # The softmax is over tokens; the pixels of a token are contiguous in memory.
        weights = scores.softmax(dim=2).flatten(1, 2)
        outputs = (values @ self.out_proj.weight.unflatten(1, (self.heads, -1)).permute(1, 2, 0)).flatten(1, 2)
        # The weights of a head add up to one, and its share of the bias with them.
        y: Tensor = weights.transpose(1, 2) @ (outputs + self.out_proj.bias / self.heads)
        return y


class TwoWayBlock(nn.Module):
    """Self-attention of tokens, cross-attention to the image, MLP, and cross-attention of the image to the tokens."""

    def __init__(self, embed_dim: int, heads: int, mlp_dim: int, downsample: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = SelfAttention(embed_dim, heads)
        self.norm1 = nn.LayerNorm(embed_dim)
        self.cross_attn_token_to_image = TokensToImage(embed_dim, heads, downsample)
        self.norm2 = nn.LayerNorm(embed_dim)
        self.mlp = MLPBlock(embed_dim, mlp_dim, functional.relu)
        self.norm3 = nn.LayerNorm(embed_dim)
        self.norm4 = nn.LayerNorm(embed_dim)
        self.cross_attn_image_to_token = ImageToTokens(embed_dim, heads, downsample)

    def forward(
        self,
        tokens: Tensor,
        pixels: Tensor,
        token_pe: Tensor,
        pixel_pe: Tensor,
        image_index: Tensor | None,
        valid: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Arguments as in `TwoWayTransformer.forward`; returned pixels are per prompt, (P, N, C)."""
        if self.first:
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens, valid=valid))
        else:
            q = tokens + token_pe
            tokens = self.norm1(tokens + self.self_attn(q, q, tokens, valid=valid))

        k = pixels + pixel_pe
        out = self.cross_attn_token_to_image(tokens + token_pe, k, pixels, kv_index=image_index)
        tokens = self.norm2(tokens + out)
        tokens = self.norm3(tokens + self.mlp(tokens))

        out = self.cross_attn_image_to_token(k, tokens + token_pe, tokens, q_index=image_index, valid=valid)
        norm, pixels = self.norm4, per_prompt(pixels, image_index) + out
        return tokens, layer_norm(pixels, norm.weight, norm.bias, norm.eps)


class TwoWayTransformer(nn.Module):
    """Two blocks and a final cross-attention (SAM, appendix A)."""

    def __init__(
        self, embed_dim: int = 256, depth: int = 2, heads: int = 8, mlp_dim: int = 2048, downsample: int = 2
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(embed_dim, heads, mlp_dim, downsample, first=i == 0) for i in range(depth)
        )
        self.final_attn_token_to_image = TokensToImage(embed_dim, heads, downsample)
        self.norm_final_attn = nn.LayerNorm(embed_dim)

    def forward(
        self,
        tokens: Tensor,
        pixels: Tensor,
        pixel_pe: Tensor,
        image_index: Tensor | None = None,
        valid: Tensor | None = None,
        outputs: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Compute updated tokens and pixels.

        Args:
            tokens: (P, T, C), output tokens and prompt tokens.
            pixels: (P, N, C), or per image, (B, N, C), with `image_index`.
            pixel_pe: (1, N, C) positional encoding.
            image_index: long (P,) or None.
            valid: bool (P, T), False for padding tokens; None without padding.
            outputs: number of tokens to return, None for all; the final attention computes no others.

        Returns:
            Tokens (P, T, C) and pixels (P, N, C).
        """
        token_pe = tokens
        if not torch.is_grad_enabled():
            dtype = self.final_attn_token_to_image.q_proj.weight.dtype
            pixels, pixel_pe = pixels.to(dtype), pixel_pe.to(dtype)
        for layer in self.layers:
            tokens, pixels = layer(tokens, pixels, token_pe, pixel_pe, image_index, valid)
            image_index = None
        tokens, token_pe = tokens[:, :outputs], token_pe[:, :outputs]
        out = self.final_attn_token_to_image(tokens + token_pe, pixels + pixel_pe, pixels)
        return self.norm_final_attn(tokens + out), pixels


def flat_pixels(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H * W, C)."""
    return torch.flatten(x, 2).transpose(1, 2)
