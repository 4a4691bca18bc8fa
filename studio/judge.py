"""The judge: what a run is not trained on. It looks at the texture, lit, from places of its own, and never gives a gradient.

Four gauges: the opinion of a held-out critic (`studio.critics.judge`), where its weights are there; how saturated the pictures
are; how much high-frequency energy they have; and the drift from the untrained generator, which the trainer measures while it
learns. They are told from the untrained textures on, in standard deviations: a critic's over held-out renders of all kinds, where
it brings them along, everything else's over the untrained textures' own renders (`studio.alarm` decides what is much).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from studio import critics, environment
from studio.alarm import Alarm, Watch
from studio.camera import ring
from studio.critics import Eye
from studio.renderers import Rasterizer
from studio.shade import Shader
from studio.surface.atlas import Atlas
from studio.surface.mesh import Mesh
from studio.texture import Taps, Texture

CRITIC = "judge"
SIZE_PX, VIEWS, ELEVATION_DEG = 128, 4, 24.0
LIGHT = "softbox"
LEAST = {"score": 0.02, "quality": 0.25, "saturation": 0.08, "energy": 0.01}
"""A reference that happens to hold nearly equal pictures counts as spread at least so far: another prompt's would be."""
QUALITY, BOTH = ("quality",), ("quality", "score")
"""What makes the judge's score: how undamaged a render is; and how well it fits the prompt, where a reward claims to care. Other
rewards may lead away from the prompt on purpose: to another palette, say."""


class Views:
    """Renders textures of one mesh from a ring of cameras that nothing is painted or rewarded from; prepared when first used."""

    def __init__(self, mesh: Mesh, atlas: Atlas, rasterizer: Rasterizer) -> None:
        self._mesh, self._atlas, self._rasterizer = mesh, atlas, rasterizer
        self._shader: Shader | None = None

    def __call__(self, texture: Texture) -> tuple[Tensor, Tensor]:
        """Pictures [VIEWS, 3, SIZE_PX, SIZE_PX] in sRGB, and how much of each pixel is surface [VIEWS, 1, SIZE_PX, SIZE_PX]."""
        if self._shader is None:
            seen = self._rasterizer.rasterize(self._mesh, ring(VIEWS, elevation_deg=ELEVATION_DEG), SIZE_PX, supersample=2)
            self._shader = Shader(seen, Taps(seen, self._atlas), environment.load(LIGHT))
        channels = {name: t.float() for name, t in texture.channels.items()}
        with torch.no_grad():
            return self._shader(replace(texture, channels=channels)), self._shader.alpha


def saturation(pictures: Tensor, surface: Tensor) -> Tensor:
    """[N]: the mean over the surface of the widest difference between two colour components."""
    chroma = pictures.amax(1, keepdim=True) - pictures.amin(1, keepdim=True)
    return _over(chroma, surface)


def energy(pictures: Tensor, surface: Tensor) -> Tensor:
    """[N]: the root mean square, over the surface, of what a 3 × 3 mean that stays on the surface takes away from the grey."""
    inside = (surface > 0.999).to(pictures)
    grey = pictures.mean(1, keepdim=True)
    near = F.avg_pool2d(F.pad(grey * inside, (1, 1, 1, 1)), 3, 1) / F.avg_pool2d(F.pad(inside, (1, 1, 1, 1)), 3, 1).clamp(min=0.1)
    return _over((grey - near).square(), inside).sqrt()


def _over(values: Tensor, surface: Tensor) -> Tensor:
    return (values * surface).sum((1, 2, 3)) / surface.sum((1, 2, 3)).clamp(min=1e-6)


class Judge:
    """The gauges of one run, their reference and their history. Lives on the worker's thread only."""

    def __init__(self, views: Views, eye: Eye | None, *, every: int, opinions: tuple[str, ...] = BOTH) -> None:
        """`eye`: the held-out critic, None where there is none, and the `opinions` it is asked for; `every`: iterations from one
        evaluation to the next."""
        self._views, self._eye, self._opinions = views, eye, opinions if eye else ()
        self.watch = Watch(every)
        self.alarms: list[Alarm] = []
        self.story: list[dict[str, float]] = []
        """What was shown at each evaluation, with its "iteration", for the report."""
        self._prompt: str | None = None
        self._mean: dict[str, float] = {}
        self._spread: dict[str, float] = {}

    def refer(self, textures: Sequence[Texture], prompt: str) -> None:
        """Let these untrained textures be the reference, each of their renders for itself."""
        seen = [self._measured(texture, prompt) for texture in textures]
        for name in seen[0]:
            values = torch.cat([one[name] for one in seen]).cpu().double()  # Apple's GPU has no float64
            self._mean[name] = float(values.mean())
            known = self._eye.spread.get(name) if self._eye is not None else None
            self._spread[name] = known or max(float(values.std()), LEAST[name])
        self._prompt = prompt

    @property
    def referred(self) -> bool:
        """There is a reference."""
        return bool(self._mean)

    def measure(self, texture: Texture, prompt: str) -> tuple[dict[str, float], dict[str, float]]:
        """(what to show, what to watch): the judge's score, in both in deviations of the reference, saturation and energy.

        A new prompt asks for other colours and another opinion: its first texture becomes the middle of the reference.
        """
        values = {name: float(v.mean()) for name, v in self._measured(texture, prompt).items()}
        if prompt != self._prompt:
            self._mean, self._prompt = dict(values), prompt
        away = {name: (value - self._mean[name]) / self._spread[name] for name, value in values.items()}
        shown = {name: values[name] for name in ("saturation", "energy")}
        watched = {name: away[name] for name in ("saturation", "energy")}
        if self._eye is not None:
            judged = sum(away[name] for name in self._opinions) / len(self._opinions)
            shown, watched = {"judge": judged, **shown}, {"judge": judged, **watched}
        return shown, watched

    def follow(
        self, iteration: int, total: Callable[[], float], aim: str, texture: Texture, prompt: str
    ) -> tuple[dict[str, float], Alarm | None]:
        """After an iteration (from 1): the gauges, when they are due, and an alarm, when one is.

        `total` measures the trained score of this texture, with nothing left to chance.
        """
        if not self.watch.due(iteration):
            return {}, None
        shown, watched = self.measure(texture, prompt)
        if not all(map(math.isfinite, watched.values())):
            return {}, None
        alarm = self.watch.note(iteration, total(), watched, aim=aim)
        self.alarms += [alarm] if alarm else []
        return shown, alarm

    def _measured(self, texture: Texture, prompt: str) -> dict[str, Tensor]:
        """Each gauge for each render."""
        pictures, surface = self._views(texture)
        found = {"saturation": saturation(pictures, surface), "energy": energy(pictures, surface)}
        if self._eye is not None:
            with torch.no_grad():
                for opinion in self._opinions:
                    said = self._eye.quality(pictures) if opinion == "quality" else self._eye.score(pictures, prompt)
                    found[opinion] = said.float()
        return found

    def state(self) -> dict[str, Any]:
        """The reference and the history, as plain values."""
        reference = {"prompt": self._prompt, "mean": dict(self._mean), "spread": dict(self._spread)}
        return {
            "watch": self.watch.state(),
            "reference": reference,
            "alarms": [alarm.plain() for alarm in self.alarms],
            "story": [dict(row) for row in self.story],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put such a state back, unless it is that of a judge with other eyes."""
        reference = state["reference"]
        self.alarms, self.story = [Alarm(**alarm) for alarm in state["alarms"]], [dict(row) for row in state["story"]]
        if {*self._opinions} == {*reference["mean"]} & {*BOTH}:
            self.watch.restore(state["watch"])
            self._prompt, self._mean, self._spread = reference["prompt"], dict(reference["mean"]), dict(reference["spread"])


def eye(device: torch.device, critic: str = CRITIC, path: str = "") -> tuple[Eye | None, str]:
    """The held-out critic, or None with the reason why there is none and what is watched instead.

    Raises StudioError when the user's own critic lacks its files.
    """
    if reason := critics.SOCKET.why_not(critic):
        return None, f"There is no judge: {reason} Drift, saturation and fine grain are watched instead."
    return critics.shared(critics.chosen(critic, path), device), ""


def opinions(critic: str, *, of_prompt: bool) -> tuple[str, ...]:
    """What a critic judges by: how good the pictures are, and where `of_prompt` how well they fit; or the only one it has."""
    own = critics.SOCKET.load(critic).opinions
    return tuple(name for name in (BOTH if of_prompt else QUALITY) if name in own) or own
