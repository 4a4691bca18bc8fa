"""Marks drawn into a finished picture, by what its depth says is in front and what is behind."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.camera import Camera
from studio.marks import Marks

NEAR = 0.05
"""Nothing nearer to the eye is drawn, in work units."""
BIAS = 0.01
"""Lines that lie less deep than that in the surface are seen: they follow it by straight pieces."""
SHEET = 0.16
"""Opacity of sheets beside that of their lines."""
CHUNK = 1 << 17
"""Steps along lines at a time, which bounds memory."""


def ink(picture: Tensor, depth: Tensor, camera: Camera, marks: Marks) -> None:
    """Draw `marks` into `picture` [height, width, 4], sRGB; `depth` [height, width] is that of the surface along the view axis,
    infinite where there is none."""
    height, width = depth.shape
    to_pixels = torch.from_numpy(camera.T_clip_world()[[0, 1, 3]]).float().to(depth.device)
    scale = depth.new_tensor([height / 2, -height / 2, 1])[:, None]
    to_pixels = to_pixels * scale + depth.new_tensor([width / 2, height / 2, 0])[:, None] * to_pixels[2]
    axis = torch.from_numpy(-camera.T_view_world()[2]).float().to(depth.device)
    far = F.max_pool2d(depth[None], 3, 1, 1)[0]  # at its silhouette a surface hides nothing that lies on it
    color = torch.from_numpy(marks.color.copy()).to(depth.device)
    if marks.sheet is not None:
        _fill(picture, depth, to_pixels, axis, torch.from_numpy(marks.sheet).float().to(depth.device), color[0], marks.behind)
    ends = torch.from_numpy(marks.ends.copy()).to(depth.device)
    at, deep, kept = _clipped(ends, to_pixels, axis, width, height)
    if not len(at):
        return
    size = max(marks.width * height, 1e-3)
    strength = color[kept, 3] * min(size, 1.0)
    steps = (at[:, 1] - at[:, 0]).abs().amax(-1).ceil().long() + 1
    line = torch.repeat_interleave(steps)
    along = torch.arange(len(line), device=line.device) - (steps.cumsum(0) - steps)[line]
    share = along / (steps[line] - 1).clamp(min=1)
    covered = torch.zeros(height * width, device=depth.device)
    best = torch.full((height * width,), -1, device=depth.device)
    for part in torch.arange(len(line), device=line.device).split(CHUNK):
        pixel, alpha, which = _touched(at, deep, line[part], share[part], max(size, 1.0), far)
        alpha = alpha * strength[which]
        seen = alpha.abs() > 0
        # Behind the surface alpha is negative: fainter, yet drawn.
        alpha = torch.where(alpha < 0, -alpha * marks.behind, alpha)[seen]
        pixel, which = pixel[seen], which[seen]
        covered.scatter_reduce_(0, pixel, alpha, "amax")
        top = alpha >= covered[pixel]
        best[pixel[top]] = which[top]
    drawn = (covered > 0).nonzero()[:, 0]
    flat, shade = picture.view(-1, picture.shape[-1]), covered[drawn, None]
    flat[drawn, :3] = torch.lerp(flat[drawn, :3], color[kept][best[drawn], :3], shade)
    flat[drawn, 3:] = torch.maximum(flat[drawn, 3:], shade)


def _clipped(ends: Tensor, to_pixels: Tensor, axis: Tensor, width: int, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """What of the lines [n, 2, 3] is in the picture: places in pixels [m, 2, 2], depths [m, 2], and which lines they are [m]."""
    deep = ends @ axis[:3] + axis[3]
    low, high = torch.zeros_like(deep[:, 0]), torch.ones_like(deep[:, 0])

    def keep(value: Tensor) -> None:  # the part from `low` to `high` of each line where value [n, 2] ≥ 0
        nonlocal low, high
        start, end = value.unbind(1)
        cross = start / torch.where(start == end, torch.ones_like(start), start - end)
        low = torch.where((start < 0) & (end >= 0), torch.maximum(low, cross), low)
        high = torch.where((start >= 0) & (end < 0), torch.minimum(high, cross), high)
        high = torch.where((start < 0) & (end < 0), torch.full_like(high, -1), high)

    keep(deep - NEAR)
    x, y, w = (ends @ to_pixels[:, :3].T + to_pixels[:, 3]).unbind(-1)
    for edge in (x + 2 * w, (width + 2) * w - x, y + 2 * w, (height + 2) * w - y):
        keep(edge)
    kept = (high > low).nonzero()[:, 0]
    share = torch.stack([low, high], 1)[kept][..., None]
    cut = torch.lerp(ends[kept, :1], ends[kept, 1:], share)
    clip = cut @ to_pixels[:, :3].T + to_pixels[:, 3]
    return clip[..., :2] / clip[..., 2:], cut @ axis[:3] + axis[3], kept


def _touched(at: Tensor, deep: Tensor, line: Tensor, share: Tensor, size: float, far: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels [k] near the steps at `share` of lines, how much of each the line covers (negative behind the surface), and its
    number [k]."""
    height, width = far.shape
    start, end = at[line, 0], at[line, 1]
    place = torch.lerp(start, end, share[:, None])
    near, distant = deep[line].unbind(1)  # between them 1 / depth is even on the picture, and depth where both are alike
    depth = 1 / torch.lerp(1 / near, 1 / distant, share)
    reach = math.ceil(size / 2)
    side = torch.arange(-reach, reach + 1, device=at.device)
    around = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1).reshape(-1, 2)
    pixel = place.floor().long()[:, None] + around
    centre = pixel + 0.5 - start[:, None]
    along = (end - start)[:, None]
    t = ((centre * along).sum(-1) / along.square().sum(-1).clamp(min=1e-9)).clamp(0, 1)
    distance = (centre - t[..., None] * along).norm(dim=-1)
    alpha = (size / 2 + 0.5 - distance).clamp(0, 1)
    x, y = pixel.unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (alpha > 0)
    index = (y * width + x)[inside]
    hidden = depth[:, None].expand_as(alpha)[inside] > far.flatten()[index] + BIAS
    alpha = torch.where(hidden, -alpha[inside], alpha[inside])
    return index, alpha, line[:, None].expand_as(inside)[inside]


def _fill(picture: Tensor, depth: Tensor, to_pixels: Tensor, axis: Tensor, sheet: Tensor, color: Tensor, behind: float) -> None:
    """Tint what lies behind a parallelogram [4, 3], and less what lies in front of it."""
    height, width = depth.shape
    corner, sides = sheet[0], torch.stack([sheet[1] - sheet[0], sheet[3] - sheet[0]], 1)
    middle = to_pixels[:, :3] @ corner + to_pixels[:, 3]
    plane = torch.cat([to_pixels[:, :3] @ sides, middle[:, None]], 1).double()  # (s, t, 1) on the sheet → pixels
    if abs(float(torch.linalg.det(plane))) < 1e-9:
        return  # seen from its edge
    back = torch.linalg.inv(plane).float()
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    x, y = x.to(depth.device), y.to(depth.device)
    s, t, k = (row[0] * x + row[1] * y + row[2] for row in back)
    s, t = s / k, t / k
    deep = (corner @ axis[:3] + axis[3]) + s * (axis[:3] @ sides[:, 0]) + t * (axis[:3] @ sides[:, 1])
    inside = (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1) & (deep > NEAR)
    alpha = SHEET * color[3] * torch.where(deep <= depth, 1.0, behind) * inside
    picture[..., :3] = torch.lerp(picture[..., :3], color[:3].expand_as(picture[..., :3]), alpha[..., None])
    picture[..., 3] = torch.maximum(picture[..., 3], alpha)
