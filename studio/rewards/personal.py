"""Personal: the lit pictures look like what you picked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from studio.plug import knob
from studio.rewards import Look, Reward, Score

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh


@dataclass(frozen=True)
class Personal(Reward):
    """r = mean over glances at the reward views of w · features: the log-odds that you would pick this texture over the average
    of those that you were shown, as a Bradley–Terry model (1952) on the bundled critic's features says.

    It is fitted to your picks when a run begins, in seconds, and says how often it agrees with picks it was not fitted to.
    """

    description = "Follows your own taste, as far as your picks tell it."
    sees = "pictures"
    averages = True
    lasts = False

    picks: str = knob("", "Folder of the picks; empty: all of yours.")

    def public(self) -> Personal:
        return replace(self, picks="")

    def check(self, mesh: Mesh) -> None:
        from studio.rewards._taste import enough, folders

        enough(folders(self.picks))

    def build(self, mesh: Mesh, atlas: Atlas, device: torch.device) -> Score:
        """The score of any mesh. Raises StudioError when there are too few picks, or the critic's weights are missing."""
        from studio.rewards._critics import eye
        from studio.rewards._glances import mean_opinion
        from studio.rewards._taste import Taste, folders

        critic = eye("patina", "", "quality", device)
        taste = Taste(critic, folders(self.picks), device)

        def opinion(pictures: Tensor) -> Tensor:
            return taste(critic.features(pictures))

        class Liking:
            """The score, with what is to be said of it."""

            notes = taste.notes

            def __call__(self, look: Look) -> Tensor:
                return mean_opinion(opinion, look, px=critic.px)

        return Liking()


def agreement(picks: str = "") -> tuple[float, str]:
    """How often a taste that is read from the picks of a folder, or from all, agrees with picks it was not fitted to; and that in
    a sentence, with a warning where it is no taste. Takes a second or two. Raises StudioError as `build` does."""
    import torch

    from studio.rewards._critics import eye
    from studio.rewards._taste import Taste, folders

    where = torch.device("cpu")
    taste = Taste(eye("patina", "", "quality", where), folders(picks), where)
    return taste.accuracy, taste.notes[0]
