"""Rewards: what makes a texture better, as one differentiable number per look at it.

To add one, put a file here that holds one frozen dataclass of knobs, a `Reward`; the window, presets, commands and the contract
test find it by its file name. `build()` looks at the mesh once (and refuses a mesh that cannot carry the reward) and returns the
score, a function of a `Look`. Scores are to be maximised, stay finite, are blind to everything outside the charts and to where
the charts lie in the atlas, and are pure: the same look gives the same number. A score that has to remember something of the
untrained texture is a `torch.nn.Module` and keeps it in a buffer, so that checkpoints can carry it. What the user should know of
the mesh goes, sentence by sentence, into an attribute `notes` of the score.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from studio.plug import Socket

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh


@dataclass(frozen=True, eq=False)
class Look:
    """One look at the current texture."""

    base_color: Tensor
    """[S, 3, T, T] sRGB in [0, 1], float32 or float64; may be a leaf or carry a graph."""
    atlas: Atlas
    """On the same device as `base_color`."""
    prompt: str
    pictures: Callable[[], Tensor]
    """Shaded views [V, 3, h, w] from the reward cameras, with their graph to `base_color`; made at the first call, then kept."""
    step: int | None = None
    """The iteration this look belongs to: a score may look at a part of the texels, drawn from this number. None: at all."""
    first_view: int = 0
    """The number of the first of `pictures` among the reward views. What a score draws at random for a picture depends on the
    step and on the picture's own number, so that it stays the same whatever the chunk."""
    surface: Callable[[], Tensor] | None = None
    """What the same views show of the bare mesh [V, 4, h, w], without a graph: its unit normals in view space (right, up, to the
    eye), and how much of each pixel it fills."""


Score = Callable[[Look], "Tensor"]
"""A live reward: a look → a scalar tensor, higher is better, with a graph to `look.base_color`."""


@dataclass(frozen=True)
class Reward(ABC):
    """The promise of a file in this folder: settings, a sentence about them, and how to bring them to life."""

    description: ClassVar[str]
    """One plain sentence for menus."""
    default_weight: ClassVar[float] = 1.0
    alias: ClassVar[str | None] = None
    """The name in the paper it comes from, where that differs from the file's."""
    sees: ClassVar[Literal["atlas", "pictures"]] = "atlas"
    """Which part of the look is scored: pictures cost a render, the atlas costs nothing."""
    averages: ClassVar[bool] = False
    """The score of several pictures is the mean of what each alone would score. Such a score is then shown `reward_chunk` of them
    at a time: `look.pictures()` gives that many or fewer, and the chunks' values and gradients are averaged by their numbers of
    pictures. It must not compare pictures with each other (a spread, a best one), nor normalise over them."""
    reads_prompt: ClassVar[bool] = False
    """Whether the prompt decides what is good. A judge of what the prompt asks for is only asked where a reward claims it."""
    lasts: ClassVar[bool] = True
    """What the score stands on is the same in the next run while its settings are: it is built once for all runs on a mesh."""

    def public(self) -> Reward:
        """The same for whoever gets the painted mesh: nothing of where files lie on the user's disk."""
        return self

    def check(self, mesh: Mesh) -> None:  # noqa: B027 - most meshes can carry most rewards
        """Raises StudioError when no texture of this mesh can be scored, whatever its atlas. Quick: asked of every mesh that is
        opened, on a thread of its own."""

    @abstractmethod
    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of textures of this mesh. Raises StudioError when the mesh cannot carry this reward or a setting is wrong."""

    def heat_map(self, look: Look, score: Score) -> Tensor:
        """Where the score can be raised: the length over channels of its texture gradient, [S, 1, T, T] ≥ 0, 0 outside charts.

        `look.base_color` must require a gradient (and be what `look.pictures` was made from); `score` is what `build` returned.
        """
        import torch

        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(score(look), look.base_color)
        return gradient.norm(dim=1, keepdim=True)


def notes(score: Score) -> tuple[str, ...]:
    """What a score wants the user to know of this mesh (texels left out, the plane that was found); often nothing."""
    return tuple(getattr(score, "notes", ()))


SOCKET: Socket[Reward] = Socket(__name__, Reward)
