"""What a texture finer than its pictures can show beyond them, from what the network wrote: no weights, one pass of the network.

Every token writes a function of the surface's points (`_motifs`), and the pictures ask it once per pixel. Here it is asked at
every texel, with its edges as sharp as texels are. How the pictures follow these shares is read from the pictures themselves, by
linear regression in small windows, as in the guided filter (He, Sun and Tang, Guided image filtering, PAMI 2013, eq. 5 and 6):
where an effect covers the motif, or where learning has repainted it, nothing is added that the pictures do not confirm. And only
what lies between pixels is added: the shares less the bake of what the cameras see of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.generators._motifs import Motifs
from studio.generators._reader import INKS
from studio.generators._solid import PIXEL, Volumes, fields

if TYPE_CHECKING:
    from studio.bake import Baker
    from studio.surface.atlas import Atlas

SHARPER = 2.0
"""Edges are drawn steeper than pixels are by PIXEL over a texel, and by this: networks draw softer than they are taught to."""
WINDOW, RIDGE = 16, 0.02
"""Side in pixels of the windows in which the pictures are explained by shares, and the variance of shares too faint to do so."""
CHOICE = 4
"""Power of the views' weights in the bake: higher lets the best view decide, and doubles fewer edges."""
NEGLIGIBLE = 0.02
SURE = 3.0
"""Levels beyond this are as good as this: one view's confidence does not outvote where another sees the edge."""
NEIGHBOURS, CANDIDATES = 4, 20_000
"""Where no view shows the surface, so many texels that one shows tell what goes on there, of at most so many that are asked."""
CHUNK = 1 << 16
"""Texels worked on at a time, which bounds memory."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """What the network wrote about V views of px²: the tokens' perceptrons, and the frame in which they draw.

    `motifs` [V, tokens] row by row; `shares` [V, INKS, px, px] in −1…1 at the pixels; `mask` [V, 1, px, px]; `unit` [] and
    `place` [3] of the frame; `patch`: pixels per token and axis.
    """

    motifs: Motifs
    shares: Tensor
    mask: Tensor
    unit: Tensor
    place: Tensor
    patch: int


def detail(drawing: Drawing, pictures: Tensor, volumes: Volumes, *, atlas: Atlas, baker: Baker, texel: float) -> Tensor | None:
    """What the bake of pictures [V, C, px, px] lacks, [S, C, T, T]: to be added to it. None where it lacks nothing.

    Where no view shows the surface, the tokens of the nearest that one shows go on, over the colours that filled the hole. Zero
    along the borders of charts that are seen, so that cuts show no more than before. `texel`: work units across a texel; where
    they are no finer than the pictures were taught to be, only what is unseen is drawn.
    """
    seen, unseen = ((atlas.valid & mark).flatten().nonzero()[:, 0] for mark in (baker.painted, ~baker.painted))
    finer, stride = texel < PIXEL, -(-len(seen) // CANDIDATES)
    if not len(seen) or not (finer or len(unseen)):
        return None
    sources = seen if finer else seen[::stride]
    asked: list[tuple[Tensor, Tensor, Tensor]] = []
    if finer:
        itself = torch.arange(len(seen), device=seen.device)[:, None]
        asked.append((seen, itself, torch.ones_like(itself, dtype=torch.float32)))
    if len(unseen):
        near, share = _nearest(*(atlas.position.flatten(0, 2)[t] for t in (seen[::stride], unseen)))
        asked.append((unseen, near * stride if finer else near, share))
    coarse = baker.bake(drawing.shares)
    whole, drawn = coarse.movedim(1, -1).flatten(0, 2).clone(), torch.zeros_like(baker.painted).flatten()
    for texels, levels in _levels(drawing, volumes, atlas, _shown(baker, drawing, sources), asked):
        whole[texels] = torch.tanh(levels * max(1.0, SHARPER * PIXEL / texel))
        drawn[texels] = True
    whole, drawn = whole.unflatten(0, baker.painted.shape).movedim(-1, 1), drawn.view_as(baker.painted)
    if finer:  # what the cameras see of it is in the bake
        again = baker.bake(baker.taps.fetch(atlas.dilated(whole)) / baker.taps.alpha.clamp(min=1e-6))
        coarse = torch.where(baker.painted[:, None], again, coarse)
    between = (whole - coarse) * (drawn & (atlas.interior | ~baker.painted))[:, None]  # both sides of a cut stay what they are
    out = torch.zeros_like(between[:, :1]).repeat(1, pictures.shape[1], 1, 1)
    for k, slopes in enumerate(_slopes(pictures, drawing).unbind(1)):
        out += baker.bake(slopes) * between[:, k : k + 1]
    return atlas.dilated(out)


def _slopes(pictures: Tensor, drawing: Drawing) -> Tensor:
    """How much the pictures [V, C, px, px] change with each share: [V, INKS, C, px, px], smooth from window to window."""
    shares, mask = drawing.shares, drawing.mask

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x.flatten(1, -3) * mask, WINDOW, WINDOW // 2, WINDOW // 4)

    count = mean(mask).clamp(min=1e-4)
    m_pictures, m_shares = mean(pictures) / count, mean(shares) / count
    found = []
    for other, m_other in ((shares, m_shares), (pictures, m_pictures)):
        products = (mean(shares[:, :, None] * other[:, None]) / count).unflatten(1, (INKS, -1))
        found.append((products - m_shares[:, :, None] * m_other[:, None]).permute(0, 3, 4, 1, 2))
    ridge = RIDGE * torch.eye(INKS, device=mask.device)
    slopes = torch.linalg.solve(found[0] + ridge, found[1]).flatten(3).permute(0, 3, 1, 2)
    return F.interpolate(slopes, size=mask.shape[-2:], mode="bilinear", align_corners=False).unflatten(1, (INKS, -1))


def _levels(
    drawing: Drawing, volumes: Volumes, atlas: Atlas, shown: tuple[Tensor, Tensor], asked: Iterable[tuple[Tensor, Tensor, Tensor]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Texels [m] and their levels [m, INKS], chunk by chunk, those left out that no token knows.

    `shown` tells where views show so many sources, best views first; `asked`: texels [n], which sources [n, K] tell of each, and
    their shares [n, K].
    """
    weight, at = shown
    best = weight.argmax(0)
    corner = at.gather(0, best[None, :, None].expand(1, -1, 2))[0].long() // drawing.patch
    across = drawing.mask.shape[-1] // drawing.patch
    first = (best * across + corner[:, 1]) * across + corner[:, 0]
    motifs, inside = drawing.motifs.flat(), F.max_pool2d(drawing.mask, drawing.patch).flatten()
    for texels, near, shares in asked:
        for some in first[near[:, 0]].argsort().split(CHUNK // near.shape[1]):  # few tokens in each chunk
            position, normal = (t.flatten(0, 2)[texels[some]] for t in (atlas.position, atlas.normal))
            of, mixed = near[some].flatten(), shares[some, :, None]
            token, share = _tokens(weight[:, of], at[:, of], drawing.patch, across)
            share = ((share * inside[token]).unflatten(0, mixed.shape[:2]) * mixed).flatten(1)
            token = token.unflatten(0, mixed.shape[:2]).flatten(1)
            there = fields(position / drawing.unit + drawing.place, normal, volumes)
            which, tap = torch.nonzero(share, as_tuple=True)
            levels = torch.zeros(*share.shape, INKS, device=share.device)
            levels[which, tap] = _asked(motifs, token[which, tap], there, which)
            total = share.sum(1)
            known = total > 0
            yield texels[some][known], ((levels * share[..., None]).sum(1) / total.clamp(min=1e-6)[:, None])[known]


def _nearest(seen: Tensor, unseen: Tensor) -> tuple[Tensor, Tensor]:
    """The NEIGHBOURS nearest of the points `seen` [n, 3] to each of `unseen` [m, 3], [m, K], and their shares."""
    from scipy.spatial import cKDTree

    count = min(NEIGHBOURS, len(seen))
    far, near = cKDTree(seen.cpu().numpy()).query(unseen.cpu().numpy(), np.arange(1, count + 1))
    share = 1 / torch.from_numpy(far).to(seen).square().clamp(min=1e-12)
    return torch.from_numpy(near).to(seen.device), share / share.sum(1, keepdim=True)


def _shown(baker: Baker, drawing: Drawing, texels: Tensor) -> tuple[Tensor, Tensor]:
    """How much each view counts at n texels, [V, n], and where it shows them, [V, n, 2] in pixels right and down from the first
    one's centre: the bake of pictures of their own coordinates tells."""
    views, _, px, _ = drawing.mask.shape
    line = torch.arange(px, device=drawing.mask.device, dtype=torch.float32)
    down, right = torch.meshgrid(line, line, indexing="ij")
    weights, places = [], []
    for v in range(views):
        marked = torch.zeros(views, 3, px, px, device=line.device)
        marked[v] = torch.stack([torch.ones_like(down), right, down])
        found = baker.bake(marked).movedim(1, -1).flatten(0, 2)[texels]
        weights.append(found[:, 0])
        places.append((found[:, 1:] / found[:, :1].clamp(min=1e-6)).clamp(0, px - 1))
    weight = torch.stack(weights).clamp(min=0) ** CHOICE
    weight = weight / weight.sum(0).clamp(min=1e-12)
    return weight * (weight > NEGLIGIBLE), torch.stack(places)


def _tokens(weight: Tensor, at: Tensor, patch: int, across: int) -> tuple[Tensor, Tensor]:
    """The tokens that the pixels around places `at` [V, n, 2] belong to, [n, V·4], and their shares, of weights [V, n].

    Between the last pixel of a token and the first of the next one goes over into the other; elsewhere there is one.
    """
    near = at.floor().clamp(max=patch * across - 2)
    first, second = (near / patch).floor(), ((near + 1) / patch).floor()
    onward = (at - near) * (second > first)
    x, y = torch.stack([first, second], -1).long().unbind(2)
    over_x, over_y = torch.stack([1 - onward, onward], -1).unbind(2)
    view = torch.arange(len(at), device=at.device).view(-1, 1, 1, 1)
    token = (view * across + y[..., :, None]) * across + x[..., None, :]
    share = weight[..., None, None] * over_y[..., :, None] * over_x[..., None, :]
    return token.transpose(0, 1).flatten(1), share.transpose(0, 1).flatten(1)


def _asked(motifs: Motifs, token: Tensor, there: Tensor, which: Tensor) -> Tensor:
    """Levels [m, INKS] of m tokens at the points `which` [m] of fields `there` [n, FIELDS]."""
    out = torch.empty(len(token), INKS, device=token.device)
    for tokens, taps in _grouped(token):
        levels = motifs.of_tokens(tokens).at(there[which[taps]])[1]
        out[taps] = levels.mT.clamp(-SURE, SURE)
    return out


def _grouped(token: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens [K] and their places [K, m] in a list of tokens, by how often they occur; some places twice, to fill the table."""
    order = token.argsort()
    names, count = token[order].unique_consecutive(return_counts=True)
    start = count.cumsum(0) - count
    high = (count * 2 - 1).float().log2().floor().exp2().long()  # the power of two that holds so many
    for size in high.unique().tolist():
        of = high == size
        step = torch.arange(size, device=token.device).expand(int(of.sum()), -1)
        yield names[of], order[start[of][:, None] + torch.minimum(step, count[of][:, None] - 1)]
