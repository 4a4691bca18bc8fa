"""Prompt: the lit pictures show what the prompt asks for."""

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

CRITICS = ("patina", "clip_score", "pickscore", "hps", "image_reward")


@dataclass(frozen=True)
class Prompt(Reward):
    """r = mean over glances at the reward views of what a critic says of picture and prompt: of the bundled one the cosine
    between their vectors (CLIP score, 2104.08718)."""

    description = "Makes the pictures fit the prompt, as a critic sees it that was taught with the generator."
    sees = "pictures"
    averages = True
    reads_prompt = True

    critic: str = knob("patina", "Who scores: the bundled critic, or one whose files you have.", choices=CRITICS)
    path: str = knob("", "Folder with the files of a critic of your own; empty: where `studio models` has put them.")

    def public(self) -> Prompt:
        return replace(self, path=Path(self.path).name)

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of any mesh. Raises StudioError when the critic or its weights are missing; the score raises it for a prompt
        without a word that the critic knows."""
        from studio.errors import StudioError
        from studio.rewards._critics import eye
        from studio.rewards._glances import mean_opinion

        critic = eye(self.critic, self.path, "score", device)

        def score(look: Look) -> Tensor:
            if not critic.words(look.prompt).known:
                problem = f"The critic '{self.critic}' knows no word of the prompt, so the reward 'prompt' has nothing to follow."
                raise StudioError(problem, "Use words that the generator knows, or take this reward out.")
            return mean_opinion(lambda pictures: critic.score(pictures, look.prompt), look, px=critic.px)

        return score
