"""Generators: a prompt and a mesh seen from V cameras → V pictures of its painted surface, differentiably.

To add one, put a file here that holds one frozen dataclass of knobs, a `Generator`; its `build()` returns a `Painter`, the live
object with weights on a device. A painter is split where the exact replay gradient needs the cut (`studio.objective`): `predict`
is the network alone, `advance` is everything that couples views outside it (guidance mix, scheduler, fusion of views in texture
space), `decode` makes pictures. All three are pure functions of their arguments, in any dtype.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.plug import Socket
from studio.words import Words

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from studio.bake import Baker
    from studio.generators._lora import Adapters
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh
    from studio.texture import Fragments


@dataclass(frozen=True)
class Scene:
    """Everything constant while one prompt is painted on one mesh: made once by `Painter.scene`.

    `text` is what the network reads of the prompt, conditional and empty; `geometry` [V, G, h, w] what it sees of the mesh.
    """

    views: int
    text: Any
    geometry: Tensor
    mask: Tensor
    """[V, 1, H, W] float: 1 where a pixel of the decoded picture shows the surface."""
    baker: Baker | None = None
    """The texture-space coupling of generators that fuse views outside the network; None for the others."""
    guidance: float = 1.0
    """How far `advance` goes from the second prediction through the first, where there are two."""
    turn: Any = None
    """What geometry tells of views that are painted one after the other."""
    given: tuple[Tensor, ...] = ()
    """What each such view sees of those before it, [V, …] each."""


class Turns(ABC):
    """How views that are painted one after the other continue each other: an explicit state in pure functions."""

    exact: bool
    """Whether learning goes through what one view gives to the next, too."""

    @abstractmethod
    def begun(self, scene: Scene, x: Tensor) -> Scene:
        """The scene of a chain that starts from the noise x [V, C, h, w], nothing being given yet."""

    @abstractmethod
    def given(self, scene: Scene, pictures: Tensor, view: int) -> tuple[Tensor, ...]:
        """What `view` sees of the views before it, [1, …] each; differentiable in their pictures [V, P, H, W]."""

    @abstractmethod
    def part(self, scene: Scene, view: int, given: tuple[Tensor, ...]) -> Scene:
        """The scene of one view alone."""


class Painter(ABC):
    """A generator with its weights on a device."""

    turns: Turns | None = None
    """Where views are painted one after the other: how."""

    view_px: int
    """Side of the decoded pictures."""
    channels: tuple[str, ...] = ("base_color",)
    """What it paints, by the names of `studio.texture.CHANNELS`, base colour first; `decode` gives their components in order."""
    steps: int
    """Number of denoising steps; step i runs from 0 (pure noise) to steps − 1."""
    network: torch.nn.Module
    """The denoiser that carries the adapters; its own weights stay frozen."""
    views_meet_inside: bool
    """True when views attend to each other inside the network: then a chunk is always all views."""

    @abstractmethod
    def words(self, prompt: str) -> Words:
        """Which words of the prompt the generator knows; it must not depend on anything but its vocabulary."""

    @abstractmethod
    def scene(self, prompt: str, fragments: Fragments, *, mesh: Mesh | None = None, baker: Baker | None = None) -> Scene:
        """Encode the prompt and the mesh as seen in `fragments` (view_px square). `baker` couples views where that is needed.

        `mesh`, which the fragments show, is for painters that look at its fields (curvature, openness).
        """

    @abstractmethod
    def noise(self, scene: Scene, *, generator: torch.Generator) -> Tensor:
        """White noise of the latents' shape [V, C, h, w], drawn on the CPU so that seeds mean the same on every device."""

    @abstractmethod
    def predict(self, x: Tensor, i: int, scene: Scene, *, views: slice = slice(None)) -> Tensor:
        """The network's raw prediction for the latents x [v, C, h, w] of `views` at step i: [v, P, C, h, w].

        P is 1, or 2 with classifier-free guidance: (conditional, unconditional).
        """

    @abstractmethod
    def guess(self, x: Tensor, prediction: Tensor, i: int, scene: Scene) -> Tensor:
        """The clean latents [V, C, h, w] that the prediction for x at step i speaks of, to be shown while denoising."""

    @abstractmethod
    def advance(
        self, x: Tensor, prediction: Tensor, i: int, scene: Scene, *, noise: Tensor | None, eta: float | None = None
    ) -> Tensor:
        """One scheduler step of all views jointly, without the network: x_t [V, C, h, w] and its prediction → x_{t−1}.

        After the last step the result is x_0. `noise` is what eta > 0 adds at this step; None adds nothing: the mean. `eta`
        counts in place of the painter's own, where it is given.
        """

    @abstractmethod
    def signal(self, i: int) -> float:
        """ᾱ of what enters step i, its share of signal."""

    @abstractmethod
    def noised(self, x0: Tensor, i: int, *, noise: Tensor) -> Tensor:
        """Clean latents [V, C, h, w] as they would enter step i: √ᾱ·x0 + √(1 − ᾱ)·noise."""

    @abstractmethod
    def decode(self, x0: Tensor, scene: Scene, *, views: slice = slice(None)) -> Tensor:
        """Latents [v, C, h, w] of `views` → pictures [v, P, view_px, view_px] in [0, 1] up to a soft clamp.

        P counts the components of `channels`: sRGB base colour first, then one each.
        """

    def detail(self, x: Tensor, pictures: Tensor, scene: Scene, *, atlas: Atlas, baker: Baker) -> Tensor | None:
        """What the bake of finished pictures [V, P, view_px, view_px] lacks and the atlas could show: [S, P, T, T], to be added.

        x [V, C, h, w] entered the last step. None where the painter knows no more than its pictures.
        """
        return None

    def at_once(self, views: int, *, learning: bool, onward: bool = True) -> int:
        """How many of so many views go through the network at a time, now; `learning`: with a graph, which leads on to the
        latents where `onward`."""
        return views if self.views_meet_inside else 1

    @property
    @abstractmethod
    def eta(self) -> float:
        """How much noise each step adds (0 = DDIM, deterministic)."""

    # -- adapters: the same for every painter, in `_lora.py` ------------------------------------------------------------------

    adapters: Adapters
    """What is added to the frozen network: the adapter that learns, over loaded ones."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A few digits that other weights would not have, adapters left out: a LoRA belongs to the weights it was made for."""

    def add_lora(self, *, rank: int, seed: int = 0, adapter: str = "lora") -> None:
        """Add a fresh, trainable adapter; the painter's output is unchanged by it.

        "lora": a LoRA (peft) of this rank on the attention projections; "prompt": an offset on the text tokens the network reads.
        """
        self.adapters.add(adapter, rank=rank, seed=seed)

    def lora_parameters(self) -> list[torch.nn.Parameter]:
        """The trainable tensors, in a fixed order (empty before `add_lora`)."""
        return self.adapters.parameters()

    def base(self) -> AbstractContextManager[None]:
        """Within: what the run started from, the network with its loaded LoRAs but without what has been learned on top.

        Never yield inside it.
        """
        return self.adapters.base()

    def lora_state(self) -> dict[str, Tensor]:
        """What learns, as CPU tensors under the names of peft and diffusers."""
        return self.adapters.state()

    def load_lora(self, state: Mapping[str, Tensor]) -> None:
        """Put such tensors back. Raises StudioError when names or shapes do not fit."""
        self.adapters.load(state)

    def stack_loras(self, loaded: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Put LoRAs of files, by name, frozen under the one that learns; once. Raises StudioError when one does not fit."""
        self.adapters.stack(loaded)

    def scale_loras(self, scales: Mapping[str, float]) -> None:
        """How much each of them counts, 0…1; without any at more than 0 the output is the bare network's, bit for bit."""
        self.adapters.scale(scales)


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes."""

    step_s: float
    """One denoising step of all views."""
    learn_s: float
    """Learning, for each differentiated step,"""
    score_s: float
    """and once per texture: decoding, baking, scoring, and the way back to the latents."""
    held_bytes: float
    """What stays: weights, and what is worked out for the mesh."""
    fleeting_bytes: float
    """The most that comes and goes on top."""
    at_once: int
    """Views that go through the network at a time while it learns."""


@dataclass(frozen=True)
class Generator(ABC):
    """The promise of a file in this folder: settings, and how to bring them to life."""

    @abstractmethod
    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Painter:
        """Load the weights. Raises StudioError when they are missing, partial or corrupt."""

    def public(self) -> Generator:
        """The same for whoever gets the painted mesh: nothing of where files lie on the user's disk."""
        return self

    def words(self, prompt: str) -> Words | None:
        """What `Painter.words` would say, without weights and at once; None where only the weights know."""
        return None

    def side_px(self) -> int | None:
        """Side of its views, where that is known without weights. Raises StudioError when files are missing."""
        return None

    def costs(self, *, views: int, free_bytes: float, onward: bool = False) -> Costs | None:
        """What painting so many views costs on a graphics card with so much free, before any run has shown it; `onward`: where
        more than the last step is differentiated. None where mini's costs will do."""
        return None

    def warm(self) -> None:  # noqa: B027 - there may be nothing to do
        """Import what `build` needs, ahead of it; a window does so in the background."""

    def stages(self) -> Iterator[str]:
        """What `build` does, in words, for the progress line."""
        yield "loading the generator"


SOCKET: Socket[Generator] = Socket(__name__, Generator)
