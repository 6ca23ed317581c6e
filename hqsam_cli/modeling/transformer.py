"""SAM's two-way transformer between prompt tokens and image pixels.

Beside the plain form it has two exact short cuts. As long as no mask prompt made the pixels of an image
differ from prompt to prompt, everything on the image's side of the first layer is computed once per
image and gathered by `image_index`. Where no gradients are asked for, attention between few tokens and
many pixels multiplies the tokens with the projections of the pixels; training rounds as the authors' does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def per_prompt(x: Tensor, image_index: Tensor | None) -> Tensor:
    """Rows of a per-image tensor (B, ...) for each prompt, (P, ...); None: `x` has a row for each already.

    With a single image the rows are a view, not a copy.
    """
    if image_index is None:
        return x
    if x.shape[0] == 1:
        return x.expand(image_index.shape[0], *x.shape[1:])
    return x[image_index]


class Attention(nn.Module):
    """Multi-head attention whose inner width may be smaller than the embedding's, in its plain form."""

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
            q_index, kv_index: long (P,), the image of each prompt; projections are done before the gather.
            valid: bool (P, M), which keys are there; None means all.

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
        """The weight of a projection to the inner width, by heads: (heads, inner / heads, C)."""
        weight: Tensor = projection.weight.unflatten(0, (self.heads, -1))
        return weight


class SelfAttention(Attention):
    """Attention of tokens over tokens."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *, valid: Tensor | None) -> Tensor:
        """See `Attention.plain`."""
        return self.plain(q, k, v, valid=valid)


class TokensToImage(Attention):
    """Attention of few tokens over the many pixels of each prompt.

    To project N pixels takes N * C * inner products, and serves T tokens. So the tokens' side takes the weights of keys
    and values instead, and pixels are multiplied with a vector a token and head as they are.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *, kv_index: Tensor | None = None) -> Tensor:
        """See `Attention.plain`; pixels that all prompts of an image share are projected, once."""
        if torch.is_grad_enabled() or kv_index is not None:
            return self.plain(q, k, v, kv_index=kv_index)
        queries = self._split(self.q_proj(q))
        queries = queries * queries.shape[-1] ** -0.5
        # The keys' bias adds the same to all scores of a token, which leaves their softmax as it is.
        scores = (queries @ self._of_heads(self.k_proj)).flatten(1, 2) @ k.transpose(1, 2)
        seen = (scores.softmax(dim=-1) @ v).unflatten(1, (self.heads, -1))
        values = (seen @ self._of_heads(self.v_proj).transpose(1, 2)).transpose(1, 2).flatten(2)
        y: Tensor = self.out_proj(values + self.v_proj.bias)
        return y


class ImageToTokens(Attention):
    """Attention of many pixels over few tokens, which take the weights of queries and outputs; see `TokensToImage`."""

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, q_index: Tensor | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """See `Attention.plain`; pixels (P, N, C), tokens (P, T, C)."""
        if torch.is_grad_enabled():
            return self.plain(q, k, v, q_index=q_index, valid=valid)
        keys, values = self._split(self.k_proj(k)), self._split(self.v_proj(v))
        keys = keys * keys.shape[-1] ** -0.5
        offsets = keys @ self.q_proj.bias.unflatten(0, (self.heads, -1, 1))
        if valid is not None:
            offsets = offsets.masked_fill(~valid[:, None, :, None], -torch.inf)
        weights = (keys @ self._of_heads(self.q_proj)).flatten(1, 2)
        scores = (weights @ per_prompt(q, q_index).transpose(1, 2)).unflatten(1, (self.heads, -1)) + offsets
        # Over the tokens, with the pixels of each side by side in memory.
        shares = scores.softmax(dim=2).flatten(1, 2)
        outputs = (values @ self.out_proj.weight.unflatten(1, (self.heads, -1)).permute(1, 2, 0)).flatten(1, 2)
        y: Tensor = shares.transpose(1, 2) @ outputs + self.out_proj.bias
        return y


class TwoWayBlock(nn.Module):
    """Tokens attend to themselves and to the image, then the image to the tokens."""

    def __init__(self, embed_dim: int, heads: int, mlp_dim: int, downsample: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = SelfAttention(embed_dim, heads)
        self.norm1 = nn.LayerNorm(embed_dim)
        self.cross_attn_token_to_image = TokensToImage(embed_dim, heads, downsample)
        self.norm2 = nn.LayerNorm(embed_dim)
        self.mlp = TokenMLP(embed_dim, mlp_dim)
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
        """One block; arguments as in `TwoWayTransformer.forward`. Pixels come back one row a prompt."""
        if self.first:
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens, valid=valid))
        else:
            q = tokens + token_pe
            tokens = self.norm1(tokens + self.self_attn(q, q, tokens, valid=valid))

        placed = pixels + pixel_pe
        seen = self.cross_attn_token_to_image(tokens + token_pe, placed, pixels, kv_index=image_index)
        tokens = self.norm2(tokens + seen)
        tokens = self.norm3(tokens + self.mlp(tokens))

        told = self.cross_attn_image_to_token(placed, tokens + token_pe, tokens, q_index=image_index, valid=valid)
        return tokens, self.norm4(per_prompt(pixels, image_index) + told)


class TokenMLP(nn.Module):
    """Two linear layers with ReLU; SAM's keys are `lin1` and `lin2`."""

    def __init__(self, embed_dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embed_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., embed_dim) to the same shape."""
        out: Tensor = self.lin2(functional.relu(self.lin1(x)))
        return out


class TwoWayTransformer(nn.Module):
    """Depth 2, 8 heads, attention to the image at half width (SAM, appendix A)."""

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
    ) -> tuple[Tensor, Tensor]:
        """Tokens and pixels after they have seen each other.

        Args:
            tokens: (P, T, C), output tokens and prompt tokens.
            pixels: (P, N, C), or one row an image, (B, N, C), where `image_index` is given.
            pixel_pe: (1, N, C) positions.
            image_index: long (P,) or None.
            valid: bool (P, T), which tokens are there; None means all.

        Returns:
            Tokens (P, T, C) and pixels (P, N, C).
        """
        token_pe = tokens
        for layer in self.layers:
            tokens, pixels = layer(tokens, pixels, token_pe, pixel_pe, image_index, valid)
            image_index = None
        seen = self.final_attn_token_to_image(tokens + token_pe, pixels + pixel_pe, pixels)
        return self.norm_final_attn(tokens + seen), pixels


def flat_pixels(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H * W, C)."""
    return torch.flatten(x, 2).transpose(1, 2)
