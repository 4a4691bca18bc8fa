"""Painted pictures under a sky, straight from the geometry they show, for previews and for critics; and sheets of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from studio import environment
from studio.environment import Environment
from studio.generators._multiview import MultiView
from studio.pretrain.batches import MASK
from studio.shade import Lighting, filmic
from studio.texture import srgb_from_linear

PREVIEWED = (
    "a checkerboard-patterned bunny", "red bricks with rough mortar and slightly worn edges", "gold", "rusty metal",
    "blue and yellow stripes", "teal with pink polka dots", "white marble with black veins", "oak wood",
    "leopard", "green camouflage", "red and black plaid", "lava",
    "stone with moss on top", "green dragon scales", "blue and white mosaic", "worn copper patina",
)  # fmt: skip


def lit(pictures: Tensor, geometry: Tensor, environment: Environment, *, exposure_ev: float = 0.0) -> Tensor:
    """Channels [N, 6, h, w] in 0…1 on geometry [N, 9, h, w] → sRGB pictures [N, 3, h, w], zero outside the mask.

    The eye is taken to be far away, where the mean visible normal points: geometry does not tell where its camera stood.
    """
    normal, mask = geometry[:, 3:6].float(), geometry[:, MASK] > 0.5
    to_eye = F.normalize(normal.sum((-1, -2)), dim=-1)[:, None, None].expand(*mask.shape, 3)
    lighting = Lighting(environment.to(normal.device), F.normalize(normal.movedim(1, -1)[mask], dim=-1), to_eye[mask])
    values = pictures.movedim(1, -1)[mask].float()
    light = lighting(values[:, :3], values[:, 3:4], values[:, 4:5])
    shown = srgb_from_linear(filmic(light * 2.0**exposure_ev))
    out = torch.zeros(*mask.shape, 3, device=shown.device, dtype=shown.dtype)
    return out.index_put((mask,), shown).movedim(-1, 1)


def save_sheet(rows: Sequence[tuple[Tensor, Tensor]], path: Path, *, columns: int) -> None:
    """A PNG of `columns` strips a line; a strip is pictures [V, 3, h, w] side by side with their masks [V, 1, h, w], on grey."""
    from PIL import Image

    strips = [torch.cat(list(p * m + 0.75 * (1 - m)), -1).float().cpu() for p, m in rows]
    strips += [torch.full_like(strips[0], 0.75)] * (-len(strips) % columns)
    lines = [torch.cat(strips[i : i + columns], -1) for i in range(0, len(strips), columns)]
    pixels = torch.cat(lines, -2).clamp(0, 1).mul(255).round().byte().movedim(0, -1).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def sheet(painter: MultiView, rigs: Tensor, path: Path, *, prompts: tuple[str, ...]) -> None:
    """Each prompt on one of the rigs [n, V, 9, h, w]: two views of its base colour, then the same lit."""
    sky, rows = environment.load("softbox"), []
    for i, prompt in enumerate(prompts):
        geometry = rigs[i % len(rigs), :6].float()
        scene = painter.scene_of(prompt, geometry)
        with torch.autocast(rigs.device.type, torch.bfloat16, enabled=rigs.device.type == "cuda"):
            painted = painter.paint(scene, seed=i).float().clamp(0, 1)
        shown = torch.cat([painted[:2, :3], lit(painted[:2], geometry[:2], sky)])
        rows.append((shown, scene.mask[:2].repeat(2, 1, 1, 1)))
    save_sheet(rows, path, columns=4)
