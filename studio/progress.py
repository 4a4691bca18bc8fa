"""What a run tells whoever watches it, a `Progress` per yield and at last a `Result`; and what it may be told: `Live`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from studio.alarm import Alarm
    from studio.camera import Camera
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

PAINTED = frozenset({"base_color"})
"""The channels that count as a generator's where nothing else is said."""


@dataclass(frozen=True)
class Live:
    """The part of a run's settings that may change while it runs: a new object for every change, read once per iteration."""

    weights: Mapping[str, float] = field(default_factory=dict)
    """Reward weights by name; a reward that is missing has weight 0."""
    rate: float | None = None
    """Learning rate; None keeps the trainer's own."""
    anchor: float | None = None
    """Pull towards the untrained generator; None keeps the trainer's own."""
    k: int | None = None
    """Denoising steps that are differentiated; None keeps the trainer's own."""
    prompt: str | None = None
    """What the surface should look like; None keeps the run's own."""
    loras: Mapping[str, float] | None = None
    """How much each loaded LoRA counts, 0…1, by name; None keeps the run's own, one that is missing counts 0."""
    heat: str | None = None
    """The reward whose texture gradient somebody looks at."""
    watched: bool = False
    """Somebody looks: the texture is baked while it is being denoised, too."""

    def total(self, raw: Mapping[str, float]) -> float:
        """Rewards by name, each times its weight, added up."""
        return sum(weight * raw.get(name, 0.0) for name, weight in self.weights.items())

    def plain(self) -> dict[str, Any]:
        """What decides the numbers, as JSON-able values, for the journal."""
        named = {name: getattr(self, name) for name in ("rate", "anchor", "k", "prompt")}
        loras = None if self.loras is None else dict(self.loras)
        return {"weights": dict(self.weights), "loras": loras, **named}


def told(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two `Live.plain`: "symmetry 0.5 → 1, k 1 → 2"."""
    pairs: list[tuple[str, float | None, float | None]] = []
    for part in ("weights", "loras"):
        a, b = old.get(part) or {}, new.get(part) or {}
        pairs += [(name, a.get(name, 0.0), b.get(name, 0.0)) for name in dict.fromkeys([*a, *b])]
    pairs += [(name, old[name], new[name]) for name in ("rate", "anchor", "k")]
    words = [f"{name} {_number(a)} → {_number(b)}" for name, a, b in pairs if a != b]
    return ", ".join(words + ([f"prompt → {new['prompt']}"] if old["prompt"] != new["prompt"] else []))


def _number(value: float | None) -> str:
    return "own" if value is None else f"{value:g}"


@dataclass(frozen=True, eq=False)
class Result:
    """What a finished run leaves behind."""

    mesh: Mesh
    """The mesh as it was painted: unwrapped, where that was needed."""
    texture: Texture
    """The final texture of the run's own seed."""
    painted: frozenset[str]
    """The texture channels the run has changed."""
    report: Mapping[str, Any]
    """Numbers for people and scripts; JSON as it stands."""
    receipt: Mapping[str, Any]
    """How the texture came about, for the exported file's metadata."""
    before: tuple[Texture, ...]
    """Textures of the first held-out seeds before learning (empty when nothing was held out)."""
    after: tuple[Texture, ...]
    """The same seeds after learning."""
    lora: Mapping[str, Tensor]
    """The tuned LoRA on the CPU, empty when none was trained."""
    seeds: Tensor | None = None
    """The first held-out seeds before and after learning, lit: [2, n, 3, h, w] uint8; None where nothing was held out."""


@dataclass(frozen=True, eq=False)
class Progress:
    """One moment of a run. Tensors are detached; they must not be written to."""

    stage: str
    """What is being done, in words a user reads: "sampling", "learning"."""
    step: int
    total: int
    message: str = ""
    """A sentence the user should see once (a repair, unknown words, a fall-back); empty most of the time."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Raw rewards by name, plus `score` (their weighted sum), `gradient`, and from time to time `drift` (of the predictions from
    the untrained generator's, mean square), `held_out` (score of seeds never trained on), `judge`, `saturation`, `energy`."""
    texture: Texture | None = None
    """The texture as it stands, when this moment made a new one."""
    painted: frozenset[str] = PAINTED
    """The channels of `texture` that are the generator's."""
    mesh: Mesh | None = None
    """The mesh that `texture` belongs to, wherever there is a texture; before that once, when it has been read."""
    pictures: Tensor | None = None
    """The generator's current guess of its views [V, 3, h, w], while it denoises."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Each reward's part of the push in this iteration; they add up to 1."""
    heat: Mapping[str, Tensor] = field(default_factory=dict)
    """The length of the texture gradient [S, 1, T, T] of the reward that `Live.heat` names."""
    kept: Path | None = None
    """The file in which `texture` was kept to be picked from, by its key in the folder of the picks."""
    cameras: tuple[Camera, ...] = ()
    """Where the painting cameras stand, whenever that has changed."""
    change: str = ""
    """What was changed in the live settings before this iteration, in words: "symmetry 0.5 → 1"."""
    alarm: Alarm | None = None
    """The run seems to fool its rewards."""
    checkpoint: Callable[[], dict[str, Any]] | None = None
    """Everything needed to continue from here, as CPU tensors and plain values (safe for `torch.save` and its safe loading)."""
    finish: Callable[[], Texture] | None = None
    """Beside a checkpoint: `texture` as it would be had the run ended here, as fine as its atlas; until the next progress."""
    result: Result | None = None
    """Only on the last progress of a run."""
