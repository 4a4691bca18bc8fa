"""CLIP models (2103.00020) from the user's folder, through transformers, and the head that LAION and ImageReward put on top.

Nothing is ever downloaded: files are read from the folder or their absence is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.critics import SMALLEST_PX, Eye
from studio.errors import StudioError
from studio.words import Words

if TYPE_CHECKING:
    from transformers import CLIPModel, PreTrainedTokenizerBase

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on, per channel."""
LARGEST_BYTES = 8 << 30
WHOLE = ("model.safetensors", "pytorch_model.bin")
"""What transformers calls weights in one file."""
REMEDY = "Put the complete files into this folder, or choose another critic."


class Head(nn.Module):
    """Features [N, D] → [N]: five linear layers without anything between them, as LAION and ImageReward trained them.

    The numbers of the layers are those of their files, which count dropout too.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = {"0": (width, 1024), "2": (1024, 128), "4": (128, 64), "6": (64, 16), "7": (16, 1)}
        self.layers = nn.ModuleDict({number: nn.Linear(*size) for number, size in sizes.items()})

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers.values():
            x = layer(x)
        return x[:, 0]


def folder_of(path: str, *needed: str) -> Path:
    """The user's folder. Raises StudioError when it, or one of the files `needed`, is not there."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise StudioError(f"There is no folder '{path}'.", "Give the folder that holds the critic's files.")
    if missing := [name for name in needed if not (folder / name).is_file()]:
        raise StudioError(f"The folder '{folder.name}' lacks {', '.join(missing)}.", REMEDY)
    return folder


def file_of(folder: Path, names: Sequence[str]) -> Path:
    """The first of these files that a folder has. Raises StudioError when it has none."""
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise StudioError(f"The folder '{folder.name}' lacks {names[0]}.", REMEDY)
    return found


def state_in(file: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint: safetensors, or what torch saved (read without running anything in it)."""
    from pickle import UnpicklingError

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise StudioError(f"'{file.name}' has {file.stat().st_size >> 30} GiB: it is no critic.", REMEDY)
        if file.suffix == ".safetensors":
            return load_file(file)
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError, SafetensorError) as error:
        raise StudioError(f"The file '{file.name}' cannot be read: {str(error).splitlines()[0]}.", REMEDY) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not (isinstance(state, dict) and state and all(isinstance(t, Tensor) for t in state.values())):
        raise StudioError(f"The file '{file.name}' holds no weights.", REMEDY)
    return state


def filled(module: nn.Module, state: dict[str, Tensor], file: Path) -> None:
    """Put `state` in place of all of a module's tensors. Raises StudioError when some are missing, too many or of another shape.

    The module may be on the meta device: then nothing is made only to be overwritten.
    """
    state = {name: t for name, t in state.items() if not name.endswith("position_ids")}
    own = {name: t for name, t in module.state_dict().items() if not name.endswith("position_ids")}
    wrong = [name for name, t in own.items() if name not in state or state[name].shape != t.shape]
    if wrong or (more := sorted({*state} - {*own})):
        count, first = (len(wrong), wrong[0]) if wrong else (len(more), more[0])
        problem = f"The file '{file.name}' holds another model: {count} of {len(own)} tensors do not fit, first '{first}'."
        raise StudioError(problem, REMEDY)
    module.load_state_dict(state, strict=False, assign=True)
    for name, buffer in module.named_buffers():
        if buffer.is_meta:  # no part of the files: transformers' places, which count from 0
            holder, _, last = name.rpartition(".")
            setattr(module.get_submodule(holder), last, torch.arange(buffer.shape[-1]).expand(buffer.shape))


def clip_in(folder: Path, state: dict[str, Tensor] | None = None, file: Path | None = None) -> CLIPModel:
    """The CLIP of a folder in the layout of transformers, with other weights when `state` (from `file`) is given; on the CPU.

    Raises StudioError when files are missing or damaged.
    """
    from safetensors import SafetensorError
    from transformers import CLIPConfig, CLIPModel

    whole = next((folder / name for name in WHOLE if (folder / name).is_file()), None)
    if state is None and whole is not None:
        state, file = state_in(whole), whole
    try:
        if state is None:  # in shards, or missing
            model, told = CLIPModel.from_pretrained(folder, local_files_only=True, output_loading_info=True)
            if told["missing_keys"]:
                raise ValueError(f"{len(told['missing_keys'])} tensors are missing")
            return model
        with torch.device("meta"):
            model = CLIPModel(CLIPConfig.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise _unusable(folder, error) from error
    filled(model, state, file or folder)
    return model


def tokenizer_in(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder. Raises StudioError when its files are missing or damaged."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: Exception) -> StudioError:
    return StudioError(f"The model in the folder '{folder.name}' cannot be used: {str(error).splitlines()[0]}", REMEDY)


def prepared(pictures: Tensor, px: int, dtype: torch.dtype) -> Tensor:
    """Pictures as the network sees them: resized to px × px, CLIP's mean and deviation taken out."""
    if pictures.ndim != 4 or pictures.shape[1] != 3 or min(pictures.shape[-2:]) < SMALLEST_PX:
        raise TypeError(f"a critic looks at [N, 3, h, w] of at least {SMALLEST_PX} px, not at {tuple(pictures.shape)}")
    if pictures.shape[-2:] != (px, px):
        pictures = F.interpolate(pictures, (px, px), mode="bicubic", antialias=True, align_corners=False)
    mean, std = (pictures.new_tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((pictures - mean) / std).to(dtype)


def all_words(prompt: str) -> Words:
    """What a model reads that splits words into pieces: everything."""
    return Words(tuple(dict.fromkeys(prompt.lower().split())))


class ClipEye(Eye):
    """A CLIP; `scaled` says whether scores are multiplied by its inverse temperature, as PickScore is reported."""

    def __init__(
        self, model: CLIPModel, tokenizer: PreTrainedTokenizerBase, *, scaled: bool = False, head: Head | None = None
    ) -> None:
        self.model, self.tokenizer, self.scaled = model.eval().requires_grad_(False), tokenizer, scaled
        self.head = None if head is None else head.eval().requires_grad_(False)
        self.px = model.config.vision_config.image_size

    def to(self, device: torch.device, dtype: torch.dtype | None) -> ClipEye:
        """Moved to a device; fp32 unless said otherwise."""
        for module in filter(None, (self.model, self.head)):
            module.to(device, dtype or torch.float32)  # type: ignore[arg-type]
        return self

    def words(self, prompt: str) -> Words:
        return all_words(prompt)

    def features(self, pictures: Tensor) -> Tensor:
        pixels = prepared(pictures, self.px, self.model.dtype)
        seen = self.model.vision_model(pixel_values=pixels).pooler_output
        return F.normalize(self.model.visual_projection(seen), dim=-1)

    def score(self, pictures: Tensor, prompt: str) -> Tensor:
        length = self.model.config.text_config.max_position_embeddings
        told = self.tokenizer(prompt, truncation=True, max_length=length, padding="max_length", return_tensors="pt")
        with torch.no_grad():
            said = self.model.text_model(**{k: told[k].to(pictures.device) for k in ("input_ids", "attention_mask")})
            text = F.normalize(self.model.text_projection(said.pooler_output), dim=-1)
        cosine = (self.features(pictures) * text).sum(-1)
        return cosine * self.model.logit_scale.exp() if self.scaled else cosine

    def quality(self, pictures: Tensor) -> Tensor:
        if self.head is None:
            raise StudioError("This critic cannot tell how good pictures are.", "Choose another critic for the reward 'quality'.")
        return self.head(self.features(pictures))
