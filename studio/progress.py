"""What a run tells whoever watches it, a `Progress` per yield and at last a `Result`; and what it may be told: `Live`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

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
    heat: str | None = None
    """The reward whose texture gradient somebody looks at."""
    watched: bool = False
    """Somebody looks: the texture is baked while it is being denoised, too."""

    def plain(self) -> dict[str, Any]:
        """What decides the numbers, as JSON-able values, for the journal."""
        named = {name: getattr(self, name) for name in ("rate", "anchor", "k", "prompt")}
        return {"weights": dict(self.weights), **named}


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
    """Raw rewards by name, plus `score` (their weighted sum), `drift`, `gradient`."""
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
    change: str = ""
    """What was changed in the live settings before this iteration, in words: "symmetry 0.5 → 1"."""
    checkpoint: Callable[[], dict[str, Any]] | None = None
    """Everything needed to continue from here, as CPU tensors and plain values (safe for `torch.save` and its safe loading)."""
    result: Result | None = None
    """Only on the last progress of a run."""
