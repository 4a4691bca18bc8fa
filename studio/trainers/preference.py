"""Learning from which of two textures is better: a person's picks, or a score that has no gradient.

Direct preference optimisation of diffusion models (2311.12908) and the objectives of DSO (2503.22677), on the LoRA; the frozen
reference is the generator without what is learned, loaded LoRAs included, never a second network.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from studio.plug import knob
from studio.trainers import Trainer, adapter, ema, rank

if TYPE_CHECKING:
    from studio.objective import Objective
    from studio.progress import Progress


@dataclass(frozen=True)
class Preference(Trainer):
    """AdamW on the LoRA, from pairs of textures of which one was preferred; the base weights stay as they are."""

    when = "You can say which of two textures is better, or have a score without a gradient."
    learns = True
    follows_rewards = False

    method: str = knob(
        "dpo",
        "DPO, DRO (held to the untrained generator, or as published, which stops itself), or only imitating the better (SFT).",
        choices=("dpo", "dro", "dro_published", "sft"),
    )
    score: str = knob(
        "", "Who prefers: empty for your picks; palette_size, colour_blind_contrast, rewards, or a Python file with a function."
    )
    samples: int = knob(32, "Textures that the score sees; the best quarter is set against the worst.", low=4, high=10_000)
    gap: float = knob(0.5, "Least difference of a pair's scores, in standard deviations of all.", low=0.0, high=10.0)
    score_seconds: float = knob(10.0, "How long a score of your own may take for one texture.", low=0.1, high=3600.0, unit="s")
    picks: str = knob("", "Folder of the picks; empty: one for each mesh and generator, beside the run.")
    beta: float = knob(0.0, "How strictly DPO follows the picks; 0: by how much the textures differ.", low=0.0, high=1e9)
    margin: float = knob(
        1.0, "How far DRO pushes the worse away, in standard deviations of a pair's difference.", low=0.0, high=1e3
    )
    rate: float = knob(1e-3, "Learning rate of AdamW.", low=1e-7, high=1.0)
    rank: int = rank()
    adapter: str = adapter()
    batch: int = knob(2, "Pairs per iteration.", low=1, high=256)
    warmup: int = knob(0, "Iterations over which the learning rate grows to its full size.", low=0, high=10_000)
    clip: float = knob(1.0, "Largest gradient norm of one iteration.", low=1e-6, high=1e6)
    ema: float = ema(0.0)
    look_every: int = knob(
        10, "Iterations from one fresh sample, and look at the held-out pairs, to the next.", low=1, high=10_000
    )

    def check(self) -> None:
        from studio import black_box

        if self.score not in ("", "rewards"):
            black_box.check(self.score)

    def beside(self, asset: Path) -> Preference:
        return self if self.picks else replace(self, picks=str(asset.with_name(f"{asset.stem}.picks").absolute()))

    def public(self) -> Preference:
        return replace(self, picks="", score=Path(self.score).name)

    def train(self, objective: Objective, *, iterations: int, resume: dict[str, Any] | None = None) -> Iterator[Progress]:
        import copy

        import torch

        from studio.progress import Progress
        from studio.trainers._average import Average
        from studio.trainers._pairs import Pairs
        from studio.trainers._pass import clipped_norm
        from studio.trainers._preferring import Guard, auto_beta

        painter = objective.painter
        painter.add_lora(rank=self.rank, seed=objective.seed, adapter=self.adapter)
        parameters = painter.lora_parameters()
        adam = torch.optim.AdamW(parameters, lr=self.rate, betas=(0.9, 0.99), weight_decay=1e-4)
        average, guard, start = Average(painter, self.ema), Guard(), 0
        drift: float | None = None
        objective.live(resume["iteration"] if resume else 0)
        pairs: Pairs = yield from self._pairs(objective)
        spreads = yield from pairs.measure()
        accuracy: list[tuple[int, float]] = []
        if resume is not None:
            average.restore(resume)
            guard.restore(resume["guard"])
            adam.load_state_dict(resume["optimiser"])
            start, drift, accuracy = resume["iteration"], resume["drift"], [(int(n), float(a)) for n, a in resume["accuracy"]]
        painted = yield from objective.paint(objective.seed)
        yield Progress("sampling", painter.steps, painter.steps, texture=painted.texture, pictures=painted.pictures[:, :3])

        ended, stopped = iterations, ""
        for iteration in range(start, iterations):
            live = objective.live(iteration)
            warm = min(1.0, (iteration + 1) / self.warmup) if self.warmup else 1.0
            adam.param_groups[0]["lr"] = warm * (self.rate if live.rate is None else live.rate)
            adam.zero_grad(set_to_none=True)
            seen = []
            for n in range(self.batch):
                turn = iteration * self.batch + n
                settings = {"method": self.method, "beta": self.beta, "margin": self.margin, "share": 1 / self.batch}
                seen.append((yield from pairs.learned(turn, seed=objective.train_seed(iteration, n), **settings)))
            objective.taught()
            metrics = {name: fmean(getattr(one, name) for one in seen) for name in ("loss", "drift")}
            excess = fmean(one.excess for one in seen)
            if self.method == "dro_published" and guard.ran_away(excess, average.state()["lora"]):
                stopped = "The published DRO ran away and was stopped; what was learned before that is kept."
                ended = iteration + 1
            else:
                metrics["gradient"] = clipped_norm(parameters, self.clip)
                adam.step()
                average.update()
            drift = metrics["drift"]
            shown: dict[str, Any] = {}
            if (iteration + 1) % self.look_every == 0 or iteration + 1 == iterations or stopped:
                right = yield from pairs.accuracy()
                if right is not None:
                    metrics["accuracy"] = right
                    accuracy.append((iteration + 1, right))
                painted = yield from objective.paint(objective.seed)
                shown = {"texture": painted.texture, "pictures": painted.pictures[:, :3]}
                metrics |= objective.raw(painted.texture)

            def state(done: int = iteration + 1, drift: float = drift) -> dict[str, Any]:
                rest = {"optimiser": copy.deepcopy(adam.state_dict()), "guard": guard.state(), "accuracy": list(accuracy)}
                return {"iteration": done, "drift": drift, **average.state(), **rest}

            yield Progress(
                "learning",
                iteration + 1,
                iterations,
                message=stopped,
                metrics=metrics,
                change=objective.change(iteration),
                checkpoint=state,
                **shown,
            )
            if stopped:
                break
        average.settle()
        if stopped and guard.lora:
            painter.load_lora(guard.lora)
            objective.taught()
        objective.remarks = {
            "iteration": max(start, ended),
            "drift": drift,
            "preferences": {
                "pairs": len(pairs.trained),
                "held_out_pairs": len(pairs.held_out),
                "accuracy": [list(one) for one in accuracy],
                "beta": [self.beta or auto_beta(spread) for spread in spreads],
                "stopped": stopped,
            },
        }
        painted = yield from objective.paint(objective.seed, stage="painting")
        return painted.texture

    def _pairs(self, objective: Objective) -> Generator[Progress, None, Any]:
        """The picks to learn from, gathered where a score is to make them. Raises StudioError where there are too few."""
        from studio.preferences import Picks, home
        from studio.trainers._gathering import Plan, gathered
        from studio.trainers._pairs import Pairs

        picks, who = Picks(Path(self.picks) if self.picks else home(objective.subject)), None
        if self.score:
            plan = Plan(self.score, self.samples, self.gap, self.score_seconds)
            who = yield from gathered(objective, picks, plan, objective.live(0))
        return Pairs(objective, picks, who)
