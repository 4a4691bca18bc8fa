"""Quality: the lit pictures look undamaged, whatever they show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studio.plug import knob
from studio.rewards import Look, Reward, Score

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh

CRITICS = ("patina", "aesthetic")


@dataclass(frozen=True)
class Quality(Reward):
    """r = mean over glances at the reward views of how good a critic finds them: of the bundled one the log-probability that a
    picture is clean rather than blurred, noisy, banded, over-saturated, broken or washed out. That is workmanship, not beauty.

    The reward fades as pictures get clean: beyond that the critic would only be flattered.
    """

    description = "Keeps the pictures clean: not blurred, noisy, banded, over-saturated, broken or washed out."
    sees = "pictures"
    averages = True

    critic: str = knob("patina", "Who scores: the bundled critic, or one whose files you have.", choices=CRITICS)
    path: str = knob("", "Folder with the files of a critic of your own; empty: where `studio models` has put them.")

    def public(self) -> Quality:
        return replace(self, path=Path(self.path).name)

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of any mesh. Raises StudioError when the critic or its weights are missing."""
        from torch.nn.functional import logsigmoid

        from studio.rewards._critics import eye
        from studio.rewards._glances import mean_opinion

        critic = eye(self.critic, self.path, "quality", device)

        def opinion(pictures: Tensor) -> Tensor:
            found = critic.quality(pictures)
            return logsigmoid(found) if self.critic == "patina" else found

        def score(look: Look) -> Tensor:
            return mean_opinion(opinion, look, px=critic.px)

        return score
