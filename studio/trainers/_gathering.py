"""Preferences by a score: paint, ask, and set the best against the worst. All of it is kept, so that it can be gone on with."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio import black_box, files
from studio.errors import StudioError
from studio.preferences import Picks
from studio.progress import Live, Progress

if TYPE_CHECKING:
    from torch import Tensor

    from studio.objective import Objective, Painted

PICTURE_PX = 128
"""Side of the lit pictures that are kept of a texture."""
FAILURES = 3
"""So many textures in a row that cannot be scored end the gathering."""
REWARDS = "rewards"
"""The score that is the run's own: its rewards, each times its weight."""


@dataclass(frozen=True)
class Plan:
    """As `Preference` has its knobs."""

    score: str
    samples: int
    gap: float
    seconds: float


def lit(objective: Objective, painted: Painted) -> Tensor:
    """A texture from the reward views, [V, 3, PICTURE_PX, PICTURE_PX] uint8 on the CPU."""
    import torch
    import torch.nn.functional as F

    with torch.no_grad():
        pictures = objective.looks(painted.texture.channels["base_color"]).whole().pictures()
        small = F.interpolate(pictures, (PICTURE_PX, PICTURE_PX), mode="bilinear", antialias=True, align_corners=False)
        return (small.clamp(0, 1) * 255).round().byte().cpu()


def kept(objective: Objective, picks: Picks, seed: int) -> Generator[Progress, None, tuple[str, Painted | None]]:
    """The key of what the generator paints from a seed as it is now, and that, painted, lit and kept now; None where it was kept
    before."""
    subject = files.jsonable(objective.subject)
    for sample in picks.samples.values():
        if (sample.seed, sample.prompt, sample.subject) == (seed, objective.prompt, subject):
            return sample.key, None
    painted = yield from objective.paint(seed, stage="gathering")
    facts = {"prompt": objective.prompt, "seed": seed, "subject": objective.subject}
    key = picks.add(x0=painted.rollout.x0, pictures=lit(objective, painted), **facts).key
    seen = {"texture": painted.texture, "pictures": painted.pictures[:, :3]}
    yield Progress("gathering", 1, 1, kept=picks.path(key), **seen)
    return key, painted


def gathered(objective: Objective, picks: Picks, plan: Plan, live: Live) -> Generator[Progress, None, str]:
    """Paint `samples` textures, score them, and pick those of the best quarter over those of the worst. Returns who picked.

    A texture that cannot be scored is left out, and said. Raises StudioError when that happens again and again, when the scores
    hardly differ, and for a score that may not run here.
    """
    own = plan.score == REWARDS
    who = _own_name(objective, live) if own else black_box.named(plan.score)
    failed = 0
    with black_box.Judge(plan.score if not own else "", seconds=plan.seconds) as judge:
        for n in range(plan.samples):
            key, painted = yield from kept(objective, picks, objective.train_seed(n))
            if key in picks.scores.get(who, {}):
                continue
            if painted is None:
                painted = yield from objective.paint(objective.train_seed(n), stage="gathering")
            value: float | str
            if own:
                value = live.total(objective.raw(painted.texture))
            else:
                value = yield from _asked(judge, picks.pictures(key), painted)
            if isinstance(value, str):
                failed += 1
                yield Progress("gathering", n + 1, plan.samples, message=f"Texture {n + 1} is left out: {value}")
                if failed == FAILURES:
                    problem = f"{FAILURES} textures in a row could not be scored: {value}"
                    raise StudioError(problem, "Mend the score and start again: what was painted and scored is kept.")
                continue
            failed = 0
            picks.score(key, who, value)
            yield Progress("gathering", n + 1, plan.samples, metrics={})
    _pick(picks, who, plan, {s.key for s in picks.samples.values() if s.subject == files.jsonable(objective.subject)})
    return who


def _own_name(objective: Objective, live: Live) -> str:
    """What the answers of the run's own rewards are kept under: other weights or knobs, another name."""
    rewards = sorted((t.name, live.weights.get(t.name, 0.0), t.settings) for t in objective.terms)
    return f"{REWARDS}@{hashlib.sha256(repr(rewards).encode()).hexdigest()[:16]}"


def _asked(judge: black_box.Judge, pictures: Tensor, painted: Painted) -> Generator[Progress, None, float | str]:
    """What the score says, or why it says nothing."""
    texture = (painted.texture.channels["base_color"].clamp(0, 1) * 255).round().byte().cpu()
    answer = judge.ask(pictures=pictures.movedim(1, -1).numpy(), texture=texture.movedim(1, -1).numpy())
    while True:
        try:
            next(answer)
        except StopIteration as end:
            return end.value
        yield Progress("gathering", 0, 1)


def _pick(picks: Picks, who: str, plan: Plan, among: set[str]) -> None:
    scores = {key: value for key, value in picks.scores.get(who, {}).items() if key in among}
    known = set(picks.by(who))
    pairs = black_box.pairs(scores, gap=plan.gap)
    if not pairs:
        problem = f"The scores of {len(scores)} textures hardly differ, so that none is better than another."
        raise StudioError(problem, "Paint more samples, lower the gap, or choose another score.")
    for better, worse in pairs:
        if not any((pick.better, pick.worse) == (better, worse) for pick in known):
            picks.prefer(better, worse, by=who)
