"""Direct texel optimisation: the rewards move the texels of one texture, the generator only gives the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.plug import knob
from studio.trainers import Trainer

if TYPE_CHECKING:
    from studio.objective import Objective
    from studio.progress import Progress


@dataclass(frozen=True)
class TextureDirect(Trainer):
    """Adam on the texels themselves; colours stay within [0, 1]."""

    when = "You want to push one texture as far as the rewards go, and do not need the generator to learn from it."
    learns = False

    rate: float = knob(0.02, "How far a texel may move per iteration, as a share of the colour range.", low=1e-5, high=0.5)

    def train(self, objective: Objective, *, iterations: int, resume: dict[str, Any] | None = None) -> Iterator[Progress]:
        import copy

        import torch

        from studio.progress import Progress

        def shown(colour: torch.Tensor) -> torch.Tensor:
            return objective.kept("base_color", objective.atlas.dilated(colour))

        painted = yield from objective.paint(objective.seed)
        texture, start = painted.texture, 0
        colour = texture.channels["base_color"].clone().requires_grad_()
        adam = torch.optim.Adam([colour], lr=self.rate)
        if resume is not None:
            with torch.no_grad():
                colour.copy_(objective.kept("base_color", resume["base_color"].to(colour.device)))
            texture = texture.with_channel("base_color", shown(colour.detach()))
            adam.load_state_dict(resume["optimiser"])
            start = resume["iteration"]

        for iteration in range(start, iterations):
            live = objective.live(iteration)
            adam.param_groups[0]["lr"] = self.rate if live.rate is None else live.rate
            scores = objective.score(colour, live, step=iteration)
            colour.grad = -scores.push
            adam.step()
            with torch.no_grad():
                colour.copy_(objective.kept("base_color", colour.clamp(0, 1)))
                texture = texture.with_channel("base_color", shown(colour))

            def state(done: int = iteration + 1) -> dict[str, Any]:
                texels = colour.detach().cpu().clone()
                return {"iteration": done, "base_color": texels, "optimiser": copy.deepcopy(adam.state_dict())}

            metrics = {**scores.raw, "score": scores.total, "gradient": float(scores.push.norm())}
            yield Progress(
                "painting texels",
                iteration + 1,
                iterations,
                message=scores.message,
                metrics=metrics,
                texture=texture,
                shares=scores.shares,
                heat=scores.heat,
                change=objective.change(iteration),
                checkpoint=state,
            )
        return texture
