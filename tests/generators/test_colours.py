"""The shipped generator obeys colours, and because it reads the prompt: the promise that its first weights were shipped with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from studio import renderers, resources
from studio.camera import Camera
from studio.generators import SOCKET
from studio.pretrain.evaluate import shuffled
from studio.pretrain.measures import lab
from studio.surface.mesh import load

SHARE = 0.25
"""A colour is there when it is the nearest named one on more than this part of the surface."""
COLOURS = {
    "red": (0.82, 0.08, 0.08), "maroon": (0.40, 0.04, 0.12), "orange": (0.96, 0.50, 0.06), "yellow": (0.98, 0.87, 0.12),
    "gold": (0.80, 0.62, 0.14), "olive": (0.44, 0.45, 0.12), "lime": (0.62, 0.92, 0.14), "green": (0.10, 0.55, 0.16),
    "mint": (0.62, 0.93, 0.75), "teal": (0.05, 0.48, 0.48), "cyan": (0.12, 0.82, 0.88), "sky": (0.50, 0.73, 0.95),
    "blue": (0.10, 0.24, 0.82), "navy": (0.05, 0.08, 0.33), "purple": (0.44, 0.12, 0.62), "lavender": (0.75, 0.65, 0.93),
    "magenta": (0.86, 0.09, 0.64), "pink": (0.97, 0.60, 0.72), "brown": (0.42, 0.24, 0.10), "tan": (0.78, 0.61, 0.42),
    "beige": (0.93, 0.86, 0.70), "white": (0.95, 0.95, 0.94), "grey": (0.50, 0.50, 0.51), "black": (0.05, 0.05, 0.06),
}  # fmt: skip
PROMPTS = (  # sentence, colour asked for, colour not asked for
    ("a red vase", "red", "blue"), ("plain green object", "green", "pink"), ("a purple statue", "purple", "lime"),
    ("a black helmet", "black", "yellow"), ("a pink toy", "pink", "green"), ("teal pot", "teal", "orange"),
    ("a chocolate bunny", "brown", "cyan"), ("lime green creature", "lime", "purple"), ("a golden cup", "gold", "blue"),
    ("red and white stripes", "red", "green"), ("a green rabbit with white polka dots", "green", "purple"),
    ("checkerboard in black and white", "black", "gold"), ("a pink bunny with navy spots", "pink", "olive"),
    ("red bricks with white mortar", "red", "blue"), ("white marble with black veins", "white", "green"),
    ("teal and white plaid", "teal", "red"), ("gradient from yellow to red", "yellow", "blue"),
    ("a rabbit half magenta and half black", "magenta", "tan"), ("blue and white mosaic", "blue", "brown"),
    ("black and white zebra stripes", "black", "orange"),
)  # fmt: skip
VIEWS = tuple(Camera(90.0 * k + 20, 10) for k in range(4)) + (Camera(0, 75), Camera(180, -70))


def shares(pictures: Tensor, mask: Tensor) -> dict[str, float]:
    """Part of the visible surface whose nearest named colour is each one. pictures [V, 3, h, w] sRGB, mask [V, 1, h, w]."""
    pixels = lab(pictures.clamp(0, 1).movedim(1, -1)[mask[:, 0] > 0.5].float())
    nearest = torch.cdist(pixels, lab(torch.tensor(list(COLOURS.values())))).argmin(1)
    counts = torch.bincount(nearest, minlength=len(COLOURS)) / max(1, len(nearest))
    return dict(zip(COLOURS, counts.tolist(), strict=True))


@pytest.mark.long
def test_the_shipped_generator_obeys_colours_because_it_reads() -> None:
    """The asked colour covers > 25 % of the surface in ≥ 85 % of prompts, a colour not asked for in < 15 %; with the text
    encoder's weights shuffled the asked colour is left to chance (here at most one prompt in five)."""
    painter = SOCKET.make("mini").build(device=torch.device("cpu"))
    mesh = load(resources.sample("vase"))
    seen = renderers.SOCKET.make("embree").build(torch.device("cpu")).rasterize(mesh, VIEWS, painter.view_px)

    def part(painter, prompts) -> list[list[bool]]:  # noqa: ANN001
        found = []
        for i, (prompt, *colours) in enumerate(prompts):
            scene = painter.scene(prompt, seen, mesh=mesh)
            there = shares(painter.paint(scene, seed=i)[:, :3], scene.mask)
            found.append([there[c] > SHARE for c in colours])
        return found

    named, blind = part(painter, PROMPTS), part(shuffled(painter), PROMPTS[::4])
    obeyed, control = (sum(row[k] for row in named) / len(named) for k in (0, 1))
    assert obeyed >= 0.85 and control < 0.15 and sum(row[0] for row in blind) <= 0.2 * len(blind), (named, blind)
