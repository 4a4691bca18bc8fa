"""How long a run will take and how much memory: from what past runs took on this machine, or from shipped measurements."""

from __future__ import annotations

import contextlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studio import cards, critics, files, generators, resources
from studio.config import Config
from studio.desk import Desk
from studio.errors import OutputError
from studio.plug import knobs

REMEMBERED = 9
"""Runs of one kind that are remembered; their medians count."""


@dataclass(frozen=True)
class Forecast:
    """What to expect of a run."""

    first_s: float
    """Seconds until the first colours are on the surface."""
    total_s: float
    memory_bytes: int
    text: str
    learned: bool
    """It comes from past runs on this machine."""


@dataclass(frozen=True)
class Timing:
    """What one run took."""

    prepare_s: float
    """Until the first denoising step began."""
    step_s: float
    """One denoising step of all views."""
    learn_s: float
    """Scoring and learning, per texture and differentiated step."""
    memory_bytes: float
    score_s: float = 0.0
    """Scoring, per texture, where it is known apart from learning."""


SHIPPED = {False: Timing(6.0, 1.1, 2.8, 2.4e9), True: Timing(3.0, 0.03, 0.15, 3.0e9)}
"""`mini`, six views, 1024 px: on one core of a 2-core machine, and on a graphics card (an H200)."""
SHIPPED_VIEWS = 6
GLANCES = 2
"""At each picture, in one look (`studio.rewards._glances`)."""
CPU_SLOWER = 300.0
"""How many times as long a large network takes without a card: an order of magnitude, until a run has shown it."""


class Forecaster:
    """Forecasts for a window. Belongs to the main thread, which polls `desk`: a card's driver may take seconds to answer."""

    def __init__(self) -> None:
        self.desk = Desk("cards")
        self._asked = False
        self._free_bytes: float | None = None

    def forecast(self, config: Config) -> Forecast:
        """What a run of `config` will take; until the driver has answered, a card counts as there and as free."""
        if not self._asked:
            self._asked = True
            if cards.nvidia_smi() is not None:
                self._free_bytes = math.inf
                self.desk.submit("", cards.free_bytes, then=self._answered, failed=lambda e: None)
        return forecast(config, self._free_bytes)

    def _answered(self, free_bytes: int | None) -> None:
        self._free_bytes = free_bytes


def forecast(config: Config, free_bytes: float | None = None) -> Forecast:
    """What a run of `config` will take, with `free_bytes` on the card of this machine; None where there is none."""
    past = _read().get(_key(config), [])
    learned = bool(past)
    t = _median(past) if past else _shipped(config, free_bytes)
    options = {name: getattr(config.trainer, name) for name in knobs(config.trainer)}
    steps = int(getattr(config.generator, "steps", 1))
    paint = steps * t.step_s
    total = t.prepare_s + paint
    if options.get("score"):
        total += options["samples"] * paint
    total += max(0, options.get("count", 1) - 1) * paint
    if config.trainer.iterates:
        sampled = paint if config.trainer.learns and config.trainer.follows_rewards else 0.0
        each = options.get("batch", 1) * (sampled + t.score_s + t.learn_s * min(options.get("k", 1), steps))
        total += config.iterations * each
    if config.trainer.learns:
        every = options.get("held_out_every", 0)
        total += (2 + (config.iterations // every if every else 0)) * config.held_out * paint
    first = t.prepare_s + t.step_s
    memory = int(t.memory_bytes)
    text = f"First colours in about {_said(first)}, all in about {_said(total)}, {memory / 2**30:.1f} GiB of memory."
    return Forecast(first, total, memory, text, learned)


def remember(config: Config, timing: Timing) -> None:
    """Learn from a run; a disk that is full is no reason to fail."""
    with contextlib.suppress(OutputError, OSError):
        past = _read()
        key = _key(config)
        past[key] = [*past.get(key, []), asdict(timing)][-REMEMBERED:]
        _path().parent.mkdir(parents=True, exist_ok=True)
        files.write_json(_path(), past)


def _path() -> Path:
    return resources.cache_dir() / "timings.json"


def _key(config: Config) -> str:
    name = generators.SOCKET.name_of(config.generator)
    return f"{name} | {config.views} views | {config.atlas_px} px | {config.device}"


def _read() -> dict[str, list[dict[str, float]]]:
    """Past runs by kind; empty when there are none or the file is damaged."""
    try:
        found: Any = json.loads(_path().read_text(encoding="utf-8"))
        return {str(key): [asdict(Timing(**run)) for run in runs] for key, runs in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _median(runs: Sequence[Mapping[str, float]]) -> Timing:
    return Timing(**{name: float(statistics.median(run[name] for run in runs)) for name in runs[0]})


def _shipped(config: Config, free_bytes: float | None) -> Timing:
    card = config.device.startswith("cuda") or (config.device == "auto" and free_bytes is not None)
    free = free_bytes if card and free_bytes else math.inf  # a driver that does not know says 0
    t, views = SHIPPED[card], config.views
    onward = min(getattr(config.trainer, "k", 1), getattr(config.generator, "steps", 1)) > 1
    if (costs := config.generator.costs(views=views, free_bytes=free, onward=onward)) is not None:
        slower = 1.0 if card else CPU_SLOWER
        held, glances = _of_critics(config)
        memory = held + costs.held_bytes + max(costs.fleeting_bytes, glances)
        return Timing(2 * t.prepare_s, slower * costs.step_s, slower * costs.learn_s, memory, slower * costs.score_s)
    share, texels = views / SHIPPED_VIEWS, (config.atlas_px / 1024) ** 2
    return Timing(t.prepare_s * (0.5 + 0.5 * texels), t.step_s * share, t.learn_s * share, t.memory_bytes + 2e8 * (texels - 1))


def _of_critics(config: Config) -> tuple[float, float]:
    """Bytes of the critics that rewards follow, and the most that one keeps of a chunk of views."""
    names = {str(getattr(w.reward, "critic", "")) for w in config.rewards} & {*critics.SOCKET.names()}
    plugs = [critics.SOCKET.load(name) for name in names]
    chunks = -(-config.views // config.reward_chunk)
    at_once = -(-config.views // chunks) * GLANCES
    return sum(p.weights_bytes for p in plugs), max((at_once * p.glance_bytes for p in plugs), default=0.0)


def _said(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
