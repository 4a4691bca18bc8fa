"""The forecast of `studio.generators._sd_plan` beside what `tests/bench/sd.py` measures: its constants anew, and its errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Protocol

from studio.generators import _sd_plan as plan

GLANCES, GLANCE_BYTES = 2, 3.6e8
"""Of CLIP ViT-L/14, in single precision (`studio.critics.aesthetic`)."""
REWARD_CHUNK = 4


class Measured(Protocol):
    seconds: float
    gib: float
    phases: dict[str, tuple[float, float]]
    setting: dict[str, Any]


def fitted(rows: Sequence[Measured]) -> tuple[plan.Pace, float]:
    """(seconds, bytes that stay) of rows of one size of views that were timed phase by phase; the most, so that plans fit."""
    rows = sorted((r for r in rows if r.phases and not r.setting["recompute"]), key=lambda r: r.setting["passes"][1])
    first, last = rows[0], rows[-1]
    views, steps, samples = last.setting["views"], last.setting["steps"], 2 * last.setting["views"]

    def mean(*names: str) -> float:
        return median(sum(r.phases[n][0] for n in names if n in r.phases) for r in rows)

    sizes = plan.Plan(first.setting["passes"][1]).passes(views)
    pace = plan.Pace(
        launch_s=(first.phases["network with a graph"][0] + first.phases["network back"][0]) / 2 / len(sizes),
        forward_s=mean("network") / steps / samples,
        back_s=last.phases["network back"][0] / samples,
        fuse_s=mean("fusing") / steps / views,
        decode_s=mean("decoder", "decoder with a graph", "decoder and fusing back") / views,
        score_s=mean("rewards", "bake", "bake back") / views,
    )
    return pace, max(r.gib * 2**30 - fleeting_bytes(r.setting) for r in rows)


def told(pace: plan.Pace) -> str:
    """As `_sd_plan` has it."""
    return "PACE = " + re.sub(r"=([\d.e-]+)", lambda found: f"={float(found[1]):.3g}", repr(pace))


def foreseen(setting: Mapping[str, Any], pace: plan.Pace, held: float) -> tuple[float, float]:
    """(seconds, GiB) of an iteration."""
    work, (sampled, learned) = work_of(setting), plans_of(setting)
    seconds = setting["steps"] * plan.step_s(work, sampled, pace) + setting["k"] * plan.learn_s(work, learned, pace)
    return seconds + plan.score_s(work, pace), (held + fleeting_bytes(setting)) / 2**30


def work_of(setting: Mapping[str, Any]) -> plan.Work:
    return plan.Work(setting["views"], setting["view_px"] // 8, 1 if setting["guidance"] == 1 else 2)


def plans_of(setting: Mapping[str, Any]) -> tuple[plan.Plan, plan.Plan]:
    sampled, learned = setting["passes"]
    return plan.Plan(sampled), plan.Plan(learned, setting["recompute"])


def fleeting_bytes(setting: Mapping[str, Any]) -> float:
    chunks = -(-setting["views"] // REWARD_CHUNK)
    glances = -(-setting["views"] // chunks) * GLANCES * GLANCE_BYTES
    work, plans = work_of(setting), plans_of(setting)
    decoder = plan.Plan(1, setting["decoder_again"])
    return max(plan.fleeting_bytes(work, *plans, decoder, onward=setting["k"] > 1), glances)
