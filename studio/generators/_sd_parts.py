"""The parts of a Stable Diffusion on disk: a folder as `save_pretrained` writes it, or one file in the layout of its authors.

Nothing is ever fetched, and nothing in a file is run: tensors come from safetensors, or from what torch saved, read with
`weights_only`. Every part must have all tensors of its class, in their shapes.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from studio.errors import StudioError
from studio.generators import _sd_published as published

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Module = TypeVar("Module", bound=nn.Module)
State = dict[str, Tensor]

LARGEST_BYTES, LARGEST_SETTINGS_BYTES = 16 << 30, 1 << 16
NAMES = ("diffusion_pytorch_model", "model", "pytorch_model")
"""What diffusers and transformers call files of weights."""
SUFFIXES = (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin")
SINGLE = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
REMEDY = "Give a folder saved by diffusers' save_pretrained, a .safetensors checkpoint, or a model of `studio models`."
FAILURES = (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError, ArithmeticError)
"""What classes of models raise for settings of another kind of model."""
RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Of the autoencoder's attention, in files from before diffusers 0.15."""


class Parts(ABC):
    """Where the parts "unet", "vae", "text_encoder", "scheduler" and "controlnet" come from."""

    name: str

    @abstractmethod
    def has(self, part: str) -> bool:
        """Whether there is such a part."""

    @abstractmethod
    def config(self, part: str) -> dict[str, Any]:
        """Its settings. Raises StudioError."""

    @abstractmethod
    def state(self, part: str) -> State:
        """Its tensors, on the CPU, under the names of diffusers. Raises StudioError."""

    @abstractmethod
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Raises StudioError."""

    def made(self, part: str, kind: type[Module]) -> Module:
        """The part as a model of its class with its weights in place, on the CPU. Raises StudioError."""
        return filled(kind, self.config(part), self.state(part), f"{part} of '{self.name}'")


class Folder(Parts):
    """As `save_pretrained` of a pipeline writes it, a folder for each part; or of one model, where `only` names it."""

    def __init__(self, folder: Path, *, only: str = "") -> None:
        self.folder, self.name, self._only = folder, folder.name, only

    def has(self, part: str) -> bool:
        return (self._of(part) / "config.json").is_file()

    def config(self, part: str) -> dict[str, Any]:
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        file = self._of(part) / name
        try:
            if file.stat().st_size > LARGEST_SETTINGS_BYTES:
                raise ValueError("it is too large for settings")
            found = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise StudioError(f"The folder '{self.name}' lacks {self._called(file)}.", REMEDY) from error
        except (OSError, ValueError, RecursionError) as error:
            raise _unreadable(self._called(file), error) from error
        if not isinstance(found, dict):
            raise _unreadable(self._called(file), ValueError("it is no table"))
        return found

    def state(self, part: str) -> State:
        folder = self._of(part)
        names = [f"{name}{suffix}" for suffix in SUFFIXES for name in NAMES]
        for name in names:
            if (folder / name).is_file():
                return tensors_in(folder / name)
            if (index := folder / f"{name}.index.json").is_file():
                return {n: t for shard in self._shards(index) for n, t in tensors_in(shard).items()}
        raise StudioError(f"The folder '{self.name}' lacks {self._called(folder / names[0])}.", REMEDY)

    def tokenizer(self) -> PreTrainedTokenizerBase:
        from transformers import CLIPTokenizer

        folder = self._of("tokenizer")
        if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
            raise StudioError(f"The folder '{self.name}' lacks tokenizer/vocab.json.", REMEDY)
        try:
            return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the library's own code raises bare Exception for a damaged file
            raise _unreadable("tokenizer", error) from error

    def _of(self, part: str) -> Path:
        return self.folder if part == self._only else self.folder / part

    def _shards(self, index: Path) -> list[Path]:
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            shards = [index.parent / Path(str(name)).name for name in names]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _unreadable(self._called(index), error) from error
        if missing := [shard for shard in shards if not shard.is_file()]:
            raise StudioError(f"The folder '{self.name}' lacks {self._called(missing[0])}.", REMEDY)
        return shards

    def _called(self, file: Path) -> str:
        return file.relative_to(self.folder).as_posix()


class SingleFile(Parts):
    """One checkpoint with all parts, or of a ControlNet alone, in the layout of the authors; settings are bundled."""

    def __init__(self, file: Path) -> None:
        self.file, self.name = file, file.name

    @cached_property
    def _all(self) -> State:
        return tensors_in(self.file)

    @cached_property
    def _settings(self) -> dict[str, dict[str, Any]]:
        """Told by the width of the text that the network reads."""
        reads = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
        found = next((t for n, t in self._all.items() if n.endswith(reads)), None)
        width = None if found is None or found.ndim != 2 else found.shape[1]
        if width not in published.PADDING:
            problem = f"The file '{self.name}' holds no Stable Diffusion 1 or 2, nor a ControlNet for one."
            raise StudioError(problem, REMEDY)
        return published.ONE if width == 768 else published.TWO_V

    def has(self, part: str) -> bool:
        from diffusers.loaders.single_file_utils import LDM_CONTROLNET_KEY

        return part != "controlnet" or any(n.startswith((LDM_CONTROLNET_KEY, "input_hint_block.")) for n in self._all)

    def config(self, part: str) -> dict[str, Any]:
        found = dict(self._settings[part])
        hint = next((t for n, t in self._all.items() if n.endswith("input_hint_block.0.weight")), None)
        if part == "controlnet" and hint is not None and hint.ndim == 4:
            found["conditioning_channels"] = hint.shape[1]
        return found

    def state(self, part: str) -> State:
        from diffusers.loaders import single_file_utils as convert

        whole, settings = self._all, self.config(part)
        try:
            if part == "unet":
                return convert.convert_ldm_unet_checkpoint(dict(whole), {"layers_per_block": 2, **settings})
            if part == "vae":
                return convert.convert_ldm_vae_checkpoint(dict(whole), settings)
            if part == "controlnet":
                return convert.convert_controlnet_checkpoint(dict(whole), {"layers_per_block": 2, **settings})
            return _text_of(dict(whole), settings)
        except (KeyError, IndexError, RuntimeError, ValueError) as error:
            raise StudioError(f"The file '{self.name}' has no whole {part}: {error}.", REMEDY) from error

    def tokenizer(self) -> PreTrainedTokenizerBase:
        from studio.generators._sd_text import published_tokenizer

        return published_tokenizer(published.PADDING[self._settings["text_encoder"]["hidden_size"]])


def _text_of(whole: State, settings: Mapping[str, Any]) -> State:
    """The text encoder's tensors under the names of transformers."""
    from diffusers.loaders import single_file_utils as convert
    from transformers import CLIPTextConfig, CLIPTextModel

    if settings["hidden_size"] == 768:
        return convert.convert_ldm_clip_checkpoint(whole)
    with torch.device("meta"):
        like = CLIPTextModel(CLIPTextConfig(**settings))
    return convert.convert_open_clip_checkpoint(like, whole, prefix="cond_stage_model.model.")


def filled(kind: type[Module], config: Mapping[str, Any], state: State, what: str) -> Module:
    """A model of a class with these settings and weights. Raises StudioError when they do not belong together."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CLIPTextConfig, PreTrainedModel

    try:
        if max(_numbers([v for k, v in config.items() if "layers" in k]), default=0) > len(state):
            raise ValueError("it would have more layers than tensors")
        with torch.device("meta"):
            told = {k: v for k, v in config.items() if not k.startswith("_")}
            model = kind(CLIPTextConfig(**told)) if issubclass(kind, PreTrainedModel) else kind.from_config(told)  # type: ignore
    except (*FAILURES, StrictDataclassError) as error:
        raise StudioError(f"The settings of the {what} make no model: {_first_line(error)}.", REMEDY) from error
    own = {name: t.shape for name, t in model.state_dict().items()}
    found = {name: t for name, t in renamed(state, own).items() if name in own or not name.endswith("position_ids")}
    wrong = [n for n, shape in own.items() if n not in found or found[n].shape != shape]
    if wrong or len(found) > len(own):
        first = (wrong or sorted({*found} - {*own}))[0]
        fitting = len(own) - len(wrong)
        raise StudioError(f"The {what} is not whole: {fitting} of {len(own)} tensors fit, first '{first}' does not.", REMEDY)
    model.load_state_dict(found, assign=True)
    for name, buffer in model.named_buffers():
        if buffer.is_meta:  # no part of the files: transformers' places, which count from 0
            holder, _, last = name.rpartition(".")
            setattr(model.get_submodule(holder), last, torch.arange(buffer.shape[-1]).expand(buffer.shape))
    return model


def renamed(state: State, own: Mapping[str, object]) -> State:
    """Tensors under the names that a model has: files are older than some of them."""
    found = {}
    for name, tensor in state.items():
        *holder, part, kind = name.rsplit(".", 2) if name.count(".") > 1 else ("", name)
        if name not in own and part in RENAMED:
            name, tensor = f"{holder[0]}.{RENAMED[part]}.{kind}", tensor.flatten(1) if tensor.ndim > 2 else tensor
        if name not in own:
            bare = name.removeprefix("text_model.")
            name = next((n for n in (bare, f"text_model.{bare}") if n in own), name)
        found[name] = tensor
    return found


def tensors_in(file: Path) -> State:
    """The tensors of a checkpoint, read without running anything in it. Raises StudioError."""
    from pickle import UnpicklingError
    from zipfile import is_zipfile

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise StudioError(f"'{file.name}' has {file.stat().st_size >> 30} GiB: it is no Stable Diffusion.", REMEDY)
        if file.suffix == ".safetensors":
            return load_file(file)
        state: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=is_zipfile(file))
    except UnpicklingError as error:
        problem = f"The file '{file.name}' wants to run code when it is opened, or is damaged; nothing in it was run."
        raise StudioError(problem, "Get the same weights as .safetensors.") from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, SafetensorError) as error:
        raise _unreadable(file.name, error) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict):
        raise StudioError(f"The file '{file.name}' holds no weights.", REMEDY)
    return {str(name): t for name, t in state.items() if isinstance(t, Tensor)}


def _unreadable(name: str, error: Exception) -> StudioError:
    return StudioError(f"The file '{name}' cannot be read: {_first_line(error)}.", "Get a whole copy of it.")


def _first_line(error: Exception) -> str:
    """What an error says; where that is no sentence, that something is wrong."""
    said = (str(error).splitlines() or [""])[0].rstrip(".")
    return said if " " in said else f"it is damaged ({type(error).__name__})"


def _numbers(value: object) -> Iterator[float]:
    """All that lists in lists hold."""
    if isinstance(value, list | tuple):
        for v in value:
            yield from _numbers(v)
    elif isinstance(value, int | float):
        yield value
