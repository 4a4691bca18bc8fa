"""The core method: a LoRA in the generator learns from differentiable rewards on the baked texture.

End-to-End Fine-Tuning of 3D Texture Generation using Differentiable Rewards (arXiv 2506.18331), with the exact stepwise replay
gradient of `studio.replay` instead of back-propagation through stored activations. K as in DRaFT-K (arXiv 2309.17400): as many
as the generator has steps, or more, is the whole chain.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from studio.plug import knob
from studio.trainers import Trainer, adapter, ema, rank

if TYPE_CHECKING:
    from studio.objective import Objective
    from studio.progress import Live, Progress


@dataclass(frozen=True)
class LoraReward(Trainer):
    """AdamW on the LoRA; the base weights stay as they are."""

    when = "You want the generator itself to learn what you like, so that every further seed follows it."
    learns = True

    k: int = knob(1, "Denoising steps that are differentiated, counted from the last.", low=1, high=1000)
    anchor: float = knob(0.0, "Pull towards what the run began with; higher keeps more of what it knew.", low=0.0, high=1e6)
    rate: float = knob(2e-3, "Learning rate of AdamW.", low=1e-7, high=1.0)
    rank: int = rank()
    adapter: str = adapter()
    batch: int = knob(1, "Seeds painted per iteration.", low=1, high=64)
    seeds: int = knob(0, "Variations learned in turn; 1 keeps to one picture, 0 never repeats one.", low=0, high=1000)
    clip: float = knob(1.0, "Largest gradient norm of one iteration.", low=1e-6, high=1e6)
    warmup: int = knob(0, "Iterations over which the learning rate grows to its full size.", low=0, high=10_000)
    ema: float = ema(0.0)
    prompts: tuple[str, ...] = knob((), "Further prompts, learned in turn with the run's own, which is the one that is shown.")
    held_out_every: int = knob(0, "Iterations from one look at the held-out seeds to the next; 0: none.", low=0, high=10_000)
    end_on: str = knob("last", "Which LoRA is kept in the end: the last, or the best so far.", choices=("last", "best"))
    learn_cameras: bool = knob(False, "Painting cameras learn their places too: for coverage at first, then for the rewards.")
    cameras_from: str = knob(
        "best", "Where such cameras begin: the set that sees most, or all in front.", choices=("best", "front")
    )

    def learns_cameras_from(self) -> str | None:
        return self.cameras_from if self.learn_cameras else None

    def train(self, objective: Objective, *, iterations: int, resume: dict[str, Any] | None = None) -> Iterator[Progress]:
        import copy

        import torch

        from studio.progress import Progress
        from studio.replay import check_flow
        from studio.trainers._average import Average
        from studio.trainers._best import Best

        painter = objective.painter
        painter.add_lora(rank=self.rank, seed=objective.seed, adapter=self.adapter)
        parameters = painter.lora_parameters()
        adam = torch.optim.AdamW(parameters, lr=self.rate, betas=(0.9, 0.99), weight_decay=1e-4)
        average, best = Average(painter, self.ema), Best(held_out=bool(self.held_out_every))
        start, drift = 0, None
        if resume is not None:
            average.restore(resume)
            best.restore(resume.get("best", {}))
            adam.load_state_dict(resume["optimiser"])
            start, drift = resume["iteration"], resume.get("drift")

        for iteration in range(start, iterations):
            live = objective.live(iteration)
            own, aim = objective.prompt, objective.aim
            if self.held_out_every and not iteration and objective.untrained_seeds:
                best.measured(0, fmean(map(live.total, objective.untrained_seeds)), aim, painter.lora_state)
            warm = min(1.0, (iteration + 1) / self.warmup) if self.warmup else 1.0
            adam.param_groups[0]["lr"] = warm * (self.rate if live.rate is None else live.rate)
            anchor = self.anchor if live.anchor is None else live.anchor
            truncation = min(self.k if live.k is None else live.k, painter.steps)
            adam.zero_grad(set_to_none=True)
            seen: dict[str, Any] = {}
            told: dict[str, list[float]] = {}
            said, drifts = [], []
            for n in range(self.batch):
                turn = iteration * self.batch + n
                prompt = (own, *self.prompts)[turn % (1 + len(self.prompts))]
                objective.ask(prompt)
                painted = yield from objective.paint(self._seed(objective, turn), shown=prompt == own)
                scores = objective.score(painted.texture.channels["base_color"], live, step=iteration)
                probe = iteration == 0 and n == 0 and any(live.weights.values())
                settings = {"truncation": truncation, "anchor": anchor, "share": 1 / self.batch, "probe": probe}
                gauge = n == 0 and objective.gauged(iteration + 1)
                flow = yield from objective.learn(painted, scores.push, gauge=gauge, **settings)
                if probe:
                    check_flow(flow, texture=float(scores.push.norm()))
                drifts += [] if flow.drift is None else [flow.drift]
                said.append(scores.message)
                numbers = {**scores.raw, "score": scores.total} if prompt == own else {f"score: {prompt}": scores.total}
                for name, value in numbers.items():
                    told.setdefault(name, []).append(value)
                if prompt == own:
                    seen = {"texture": painted.texture, "pictures": painted.pictures[:, :3]}
                    seen |= {"shares": scores.shares, "heat": scores.heat}
            objective.ask(own)
            norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.clip))
            adam.step()
            average.update()
            yield from objective.turn()
            metrics = {name: fmean(values) for name, values in told.items()} | {"gradient": norm}
            if drifts:
                drift = metrics["drift"] = fmean(drifts)
            final = lambda: average.state()["lora"]  # noqa: E731
            if "score" in metrics:
                best.passed(iteration + 1, metrics["score"], aim, final)
            if self.held_out_every and (iteration + 1) % self.held_out_every == 0:
                with average.in_place():
                    metrics["held_out"] = yield from _measured(objective, live)
                best.measured(iteration + 1, metrics["held_out"], aim, final)

            def state(done: int = iteration + 1, drift: float | None = drift) -> dict[str, Any]:
                rest = {"optimiser": copy.deepcopy(adam.state_dict()), "best": best.state(), "drift": drift}
                return {"iteration": done, **average.state(), **rest}

            yield Progress(
                "learning",
                iteration + 1,
                iterations,
                message=" ".join(filter(None, said)),
                metrics=metrics,
                change=objective.change(iteration),
                checkpoint=state,
                **seen,
            )
        average.settle()
        ended = max(start, iterations)
        if self.end_on == "best" and best.lora:
            painter.load_lora(best.lora)
            ended = best.iteration
            yield Progress("painting", 0, painter.steps, message=f"The run ends on iteration {ended}, the best so far.")
        objective.remarks = {"iteration": ended, "best": best.told(), "drift": drift}
        painted = yield from objective.paint(objective.seed, stage="painting")
        return painted.texture

    def _seed(self, objective: Objective, turn: int) -> int:
        """With fixed variations the first is the run's own: what is on screen is what learns. Prompts share them."""
        if not self.seeds:
            return objective.train_seed(*divmod(turn, self.batch))
        own = turn // (1 + len(self.prompts)) % self.seeds
        return objective.train_seed(0, own) if own else objective.seed


def _measured(objective: Objective, live: Live) -> Generator[Progress, None, float]:
    """Paint the held-out seeds, unseen; the mean of their weighted rewards."""
    raw = []
    for seed in objective.held_out:
        painted = yield from objective.paint(seed, stage="measuring", shown=False)
        raw.append(objective.raw(painted.texture))
    return fmean(map(live.total, raw))
