"""The core method: a LoRA in the generator learns from differentiable rewards on the baked texture.

End-to-End Fine-Tuning of 3D Texture Generation using Differentiable Rewards (arXiv 2506.18331), with the exact stepwise replay
gradient of `studio.replay` instead of back-propagation through stored activations. K as in DRaFT-K (arXiv 2309.17400).
"""

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
class LoraReward(Trainer):
    """AdamW on the LoRA; the base weights stay as they are."""

    when = "You want the generator itself to learn what you like, so that every further seed follows it."
    learns = True

    k: int = knob(1, "Denoising steps that are differentiated, counted from the last.", low=1, high=1000)
    anchor: float = knob(0.0, "Pull towards the untrained generator; higher keeps more of what it knew.", low=0.0, high=1e6)
    rate: float = knob(3e-3, "Learning rate of AdamW.", low=1e-7, high=1.0)
    rank: int = knob(4, "LoRA rank: how much the generator can learn.", low=1, high=128)
    batch: int = knob(1, "Seeds painted per iteration.", low=1, high=64)
    seeds: int = knob(0, "Variations learned in turn; 1 keeps to one picture, 0 never repeats one.", low=0, high=1000)
    clip: float = knob(1.0, "Largest gradient norm of one iteration.", low=1e-6, high=1e6)

    def train(self, objective: Objective, *, iterations: int, resume: dict[str, Any] | None = None) -> Iterator[Progress]:
        import copy

        import torch

        from studio.progress import Progress
        from studio.replay import check_flow

        painter = objective.painter
        painter.add_lora(rank=self.rank, seed=objective.seed)
        parameters = painter.lora_parameters()
        adam = torch.optim.AdamW(parameters, lr=self.rate, betas=(0.9, 0.99), weight_decay=1e-4)
        start = 0
        if resume is not None:
            painter.load_lora(resume["lora"])
            adam.load_state_dict(resume["optimiser"])
            start = resume["iteration"]

        for iteration in range(start, iterations):
            live = objective.live(iteration)
            adam.param_groups[0]["lr"] = self.rate if live.rate is None else live.rate
            anchor = self.anchor if live.anchor is None else live.anchor
            truncation = min(self.k if live.k is None else live.k, painter.steps)
            adam.zero_grad(set_to_none=True)
            raw: dict[str, float] = {}
            total, said = 0.0, []
            for n in range(self.batch):
                painted = yield from objective.paint(self._seed(objective, iteration, n))
                scores = objective.score(painted.texture.channels["base_color"], live, step=iteration)
                probe = iteration == 0 and n == 0 and any(live.weights.values())
                settings = {"truncation": truncation, "anchor": anchor, "share": 1 / self.batch, "probe": probe}
                flow = yield from objective.learn(painted, scores.push, **settings)
                if probe:
                    check_flow(flow, texture=float(scores.push.norm()))
                raw = {k: raw.get(k, 0.0) + v / self.batch for k, v in scores.raw.items()}
                total += scores.total / self.batch
                said.append(scores.message)
            norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.clip))
            adam.step()

            def state(done: int = iteration + 1) -> dict[str, Any]:
                return {"iteration": done, "lora": painter.lora_state(), "optimiser": copy.deepcopy(adam.state_dict())}

            metrics = {**raw, "score": total, "gradient": norm}
            yield Progress(
                "learning",
                iteration + 1,
                iterations,
                message=" ".join(filter(None, said)),
                metrics=metrics,
                texture=painted.texture,
                pictures=painted.pictures[:, :3],
                shares=scores.shares,
                heat=scores.heat,
                change=objective.change(iteration),
                checkpoint=state,
            )
        painted = yield from objective.paint(objective.seed, stage="painting")
        return painted.texture

    def _seed(self, objective: Objective, iteration: int, sample: int) -> int:
        """With fixed variations the first is the run's own: what is on screen is what learns."""
        if not self.seeds:
            return objective.train_seed(iteration, sample)
        turn = (iteration * self.batch + sample) % self.seeds
        return objective.train_seed(0, turn) if turn else objective.seed
