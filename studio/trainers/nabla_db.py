"""Better textures without losing variety: the generator is tilted to p_base · exp(β · score) instead of to the best score.

Nabla-R2D3 (2506.15684) on Nabla-GFlowNet (2412.07775): every step of a noisy chain has a density, and gradient-informed detailed
balance says by how much its mean has to move, (μ_θ − μ_ref)/s = s·β·∇R, with the reward's gradient taken through the frozen
network's guess, the decoder, the bake and the lit pictures. Nothing is back-propagated through the chain.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from studio.plug import knob
from studio.trainers import Trainer, adapter, ema, rank

if TYPE_CHECKING:
    from studio.objective import Objective
    from studio.progress import Progress

UNTRAINED = 8
"""Chains of the untrained generator that tell how much its score differs from texture to texture."""
LEAST_DEVIATION = 1e-4
"""Textures that hardly differ count as if they did so much: else noise would be followed."""


@dataclass(frozen=True)
class NablaDB(Trainer):
    """AdamW on the LoRA, from single transitions of noisy chains; the base weights stay as they are."""

    when = "You want what scores better to become likelier, and still as many different textures as before."
    learns = True

    beta: float = knob(
        2.0, "A texture that scores one standard deviation better than another becomes e^beta times as likely.", low=0.0, high=1e3
    )
    weighting: str = knob(
        "calibrated", "How steps are weighed: all alike, or nearly the last alone, as published.", choices=("calibrated", "paper")
    )
    trust: float = knob(0.1, "Pull towards what the network said before it learned from these steps.", low=0.0, high=1e6)
    transition_fraction: float = knob(0.4, "Share of a chain's steps that is learned from.", low=0.01, high=1.0)
    updates: int = knob(2, "Learning steps on the same chains; more use them better, but they get stale.", low=1, high=100)
    eta: float = knob(1.0, "Noise of each step while learning, as a share of what it may have.", low=0.05, high=1.0)
    view_jitter_deg: float = knob(
        4.0, "How far the reward's cameras are moved anew in each iteration.", low=0.0, high=45.0, unit="°"
    )
    clip_by: str = knob(
        "quantile",
        "Reward gradients are cut at a quantile of themselves, at a value, or not.",
        choices=("quantile", "value", "none"),
    )
    grad_clip: float = knob(0.999, "That quantile, or that value.", low=1e-9, high=1e9)
    kl_budget: float = knob(
        0.0, "Stop once chains have moved so far from the untrained ones, in nats; 0: never.", low=0.0, high=1e12
    )
    rate: float = knob(3e-3, "Learning rate of AdamW.", low=1e-7, high=1.0)
    rank: int = rank()
    adapter: str = adapter()
    batch: int = knob(1, "Chains per iteration.", low=1, high=64)
    ema: float = ema(0.9)

    def train(self, objective: Objective, *, iterations: int, resume: dict[str, Any] | None = None) -> Iterator[Progress]:
        import copy

        import torch

        from studio.errors import StudioError
        from studio.progress import Progress
        from studio.trainers._average import Average
        from studio.trainers._pass import clipped_norm
        from studio.trainers._tilt import chosen, usable
        from studio.trainers._transitions import Aim, descended, gathered, spreads

        painter = objective.painter
        painter.add_lora(rank=self.rank, seed=objective.seed, adapter=self.adapter)
        parameters = painter.lora_parameters()
        adam = torch.optim.AdamW(parameters, lr=self.rate, betas=(0.9, 0.99), weight_decay=0.0)
        average, start, ended = Average(painter, self.ema), 0, iterations
        untrained: list[dict[str, float]] = []
        drift: float | None = None
        if resume is not None:
            untrained = [dict(raw) for raw in resume["untrained"]]
            average.restore(resume)
            adam.load_state_dict(resume["optimiser"])
            start, drift = resume["iteration"], resume["drift"]
        settings = {"trust": self.trust, "clip": self.grad_clip, "clip_by": self.clip_by, "eta": self.eta}
        spread: list[float] = []

        if start < iterations and not untrained:
            objective.live(start)
            untrained = yield from self._untrained(objective)
        for iteration in range(start, iterations):
            live = objective.live(iteration)
            adam.param_groups[0]["lr"] = self.rate if live.rate is None else live.rate
            deviation = stdev(map(live.total, untrained))
            beta = self.beta / max(deviation, LEAST_DEVIATION)
            aim = Aim(beta=beta, weighting=self.weighting, **settings)  # type: ignore[arg-type]
            look = objective.jittered(iteration + 1, self.view_jitter_deg)
            memory, seen, told, drifts, said = [], {}, {}, [], []
            for n in range(self.batch):
                seed = objective.train_seed(iteration, n)
                painted = yield from objective.paint(seed, eta=self.eta)
                spread = spread or spreads(painter, objective.scene, like=painted.rollout.x0, eta=self.eta)
                if not (steps := usable(spread)):
                    problem = f"With {painter.steps} denoising steps no step has noise that could be learned from."
                    raise StudioError(problem, "Give the generator more steps, or choose the trainer lora_reward.")
                steps = chosen(steps, self.transition_fraction, generator=torch.Generator().manual_seed(seed))
                found, scores, moved = yield from gathered(
                    objective, painted.rollout, steps, live=live, iteration=iteration, look=look, aim=aim
                )
                memory += found
                drifts.append(moved)
                said.append(scores.message)
                raw = objective.raw(painted.texture)
                for name, value in {**raw, "score": live.total(raw)}.items():
                    told.setdefault(name, []).append(value)
                seen = {"texture": painted.texture, "pictures": painted.pictures[:, :3]}
                seen |= {"shares": scores.shares, "heat": scores.heat}
            if iteration == 0 and self.beta and any(live.weights.values()) and not any(float(t.slope.norm()) for t in memory):
                problem = "Nothing reaches the LoRA: no reward changes with what is painted."
                raise StudioError(problem, "Give a reward a weight and a region, or choose one that is not satisfied yet.")

            norms, losses, apart = [], [], []
            for _ in range(self.updates):
                adam.zero_grad(set_to_none=True)
                losses, apart = [], []
                for transition in memory:
                    loss, kl = yield from descended(
                        painter, transition, chunk=objective.chunk, spread=spread[transition.step], share=1 / len(memory), aim=aim
                    )
                    losses.append(loss)
                    apart.append(kl)
                norms.append(clipped_norm(parameters))
                adam.step()
                objective.taught()
                average.update()
            metrics = {name: fmean(values) for name, values in told.items()}
            drift = fmean(drifts)
            metrics |= {"gradient": norms[-1], "loss": fmean(losses), "drift": drift}
            metrics["kl"] = fmean(apart) * len(usable(spread))
            spent = 0 < self.kl_budget < metrics["kl"]
            if spent:
                said.append(f"The chains are {metrics['kl']:.3g} nats away from the untrained ones: the KL budget is spent.")

            def state(
                done: int = iteration + 1, metrics: dict[str, float] = metrics, untrained: list[dict[str, float]] = untrained
            ) -> dict[str, Any]:
                rest = {"optimiser": copy.deepcopy(adam.state_dict()), "untrained": untrained, "drift": metrics["drift"]}
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
            if spent:
                ended = iteration + 1
                break
        average.settle()
        objective.remarks = {"iteration": max(start, ended), "drift": drift}
        painted = yield from objective.paint(objective.seed, stage="painting")
        return painted.texture

    def _untrained(self, objective: Objective) -> Generator[Progress, None, list[dict[str, float]]]:
        """Raw rewards of textures that the untrained generator paints."""
        if len(objective.untrained_seeds) >= UNTRAINED:
            return [dict(raw) for raw in objective.untrained_seeds]
        found = []
        for n in range(UNTRAINED):
            painted = yield from objective.paint(objective.train_seed(0, n), stage="measuring", shown=False, eta=self.eta)
            found.append(objective.raw(painted.texture))
        return found
