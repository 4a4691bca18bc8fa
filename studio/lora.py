"""LoRA files: safetensors in the layout of peft and diffusers, with what they were made for and from in the metadata.

    format       "pt"
    base_model   "<generator>@<fingerprint of its weights>"
    adapter      "lora", or "prompt" for an offset on the text tokens
    rank         of a LoRA
    recipe       JSON: settings, prompt, seed and how the weights moved
    scores       JSON: raw rewards before and after, and the held-out seeds they are means of

Files may come from anybody. Nothing but safetensors is read, every promise of its header is checked, and no code runs.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from studio import files, interchange
from studio.errors import StudioError

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
LARGEST_BYTES = 512 << 20
LARGEST_HEAD_BYTES = 16 << 20
OFFSET, HALVES = interchange.OFFSET, interchange.HALVES
FLOATS = ("F16", "BF16", "F32", "F64")
ELSEWHERE = ("ss_base_model_version", "ss_sd_model_name", "modelspec.architecture")
"""Where files of other programs say what they were made for."""
SHOWN = 60
"""Characters of a prompt that are shown."""


@dataclass(frozen=True)
class About:
    """What a LoRA's file says of itself; empty where it does not say."""

    base_model: str
    adapter: str
    rank: int
    parameters: int
    recipe: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    held_out: int = 0

    @property
    def generator(self) -> str:
        """The name of the generator it was made for."""
        return self.base_model.partition("@")[0]

    @property
    def rewards(self) -> dict[str, float]:
        """The rewards it was learned from, with their weights."""
        config = self.recipe.get("config")
        table = config.get("rewards") if isinstance(config, Mapping) else None
        weights = {n: v.get("weight") for n, v in table.items() if isinstance(v, Mapping)} if isinstance(table, Mapping) else {}
        return {name: weight for name, weight in _numbers(weights).items() if weight}


# -- writing ----------------------------------------------------------------------------------------------------------------


def encoded(tensors: Mapping[str, Tensor], receipt: Mapping[str, Any]) -> bytes:
    """The file of an adapter: its tensors, bit for bit, and of the receipt "learned" (see `learned`) apart from the rest."""
    from safetensors.torch import save

    recipe = dict(files.jsonable(receipt))
    scores = recipe.pop("learned", {})
    adapter, rank = _kind({name: tuple(t.shape) for name, t in tensors.items()})
    told = {"format": "pt", "base_model": str(scores.pop("base_model", "")), "adapter": adapter, "rank": str(rank)}
    plain = {"recipe": recipe, "scores": scores}
    told |= {name: json.dumps(value, ensure_ascii=False, sort_keys=True) for name, value in plain.items()}
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}, told)


# -- reading ----------------------------------------------------------------------------------------------------------------


def about(path: Path) -> About:
    """What a file says of itself, from its header alone. Raises StudioError when it is missing, damaged or no LoRA."""
    with _opened(path) as file:
        return _about(file, path)[0]


def read(path: Path) -> tuple[dict[str, Tensor], About, str]:
    """A file's tensors, what it says of itself, and the sha256 of its bytes. Raises StudioError, as `about` does."""
    with _opened(path) as file:
        data = file.read(LARGEST_BYTES + 1)
    found, told = _about(io.BytesIO(data), path)  # of the very bytes that are used
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _damaged(path, str(error)) from error
    if not all(t.isfinite().all() for t in tensors.values()):
        raise _damaged(path, "it holds numbers that are not finite")
    return interchange.converted(tensors, told), found, hashlib.sha256(data).hexdigest()


def check(found: About, base_model: str, name: str) -> None:
    """Raises StudioError when this LoRA says that it was made for another generator, or for other weights.

    `base_model` is the generator it is to be used with; without a fingerprint, the generator alone is compared. What the file
    does not say is found out when its tensors are put in place.
    """
    if not found.base_model:
        return
    generator, _, fingerprint = base_model.partition("@")
    if found.generator != generator:
        problem = f"The LoRA '{name}' was made for the generator '{found.generator}', not for '{generator}'."
        raise StudioError(problem, f"Choose the generator '{found.generator}', or take the LoRA out of the list.")
    if fingerprint and found.base_model != base_model:
        problem = f"The LoRA '{name}' was made for other weights: for {found.base_model}, while these are {base_model}."
        raise StudioError(problem, f"Use the weights of {found.base_model}, learn it anew, or take it out of the list.")


def in_words(found: About) -> str:
    """What a person wants to know of it: for what it was made, from what, and what that gained."""
    made = f"Made for the generator '{found.generator}'" if found.generator else "It does not say what it was made for"
    prompt = str(found.recipe.get("prompt", ""))
    short = prompt if len(prompt) <= SHOWN else f"{prompt[: SHOWN - 1]}…"
    lines = [made + (f', on the prompt "{short}".' if short else ".")]
    if found.rewards:
        lines.append("Learned from " + ", ".join(f"{name} × {weight:g}" for name, weight in found.rewards.items()) + ".")
    if score := _score(found):
        seeds = f", on {found.held_out} seeds it was not trained on" if found.held_out else ""
        lines.append(f"Score {score[0]:.3f} → {score[1]:.3f}{seeds}.".replace("-", "−"))
    kind = f"LoRA of rank {found.rank}" if found.adapter == "lora" else "Offset on the prompt's tokens"
    return "\n".join([*lines, f"{kind}, {found.parameters:,} numbers."])


def _score(found: About) -> tuple[float, float] | None:
    """The weighted sum of the rewards before and after, over those that were measured both times."""
    both = {name: weight for name, weight in found.rewards.items() if name in found.before and name in found.after}
    before, after = (sum(w * raw[name] for name, w in both.items()) for raw in (found.before, found.after))
    return (before, after) if both else None


def _opened(path: Path) -> BinaryIO:
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        problem = f"The LoRA '{path.name}' cannot be read: {error.strerror or error}."
        raise StudioError(problem, f"Take it out of the list, or put the file back: {path}") from error
    if size > LARGEST_BYTES:
        file.close()
        raise StudioError(f"'{path.name}' has {size >> 20:,} MiB: it is no LoRA.", "Choose a LoRA that this studio has written.")
    return file


def _about(file: BinaryIO, path: Path) -> tuple[About, dict[str, str]]:
    """What a file says of itself, and its metadata."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= min(size - 8, LARGEST_HEAD_BYTES):
        raise _damaged(path, "it is not in the format safetensors")
    try:
        head = json.loads(file.read(length))
        told = head.pop("__metadata__", {})
        shapes = {str(name): tuple(map(int, entry["shape"])) for name, entry in head.items()}
        ends = [int(entry["data_offsets"][1]) for entry in head.values()]
        numeric = all(entry["dtype"] in FLOATS for entry in head.values())
        if not all(isinstance(value, str) for value in told.values()):
            raise TypeError("metadata that is no text")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise _damaged(path, "its header makes no sense") from error
    if max(ends, default=0) != size - 8 - length:
        raise _damaged(path, "it is not as long as it says")
    own = interchange.renamed(shapes)
    layers = {own[n]: shape for n, shape in shapes.items() if not own[n].endswith(".alpha") or math.prod(shape) != 1}
    adapter, rank = _kind(layers)
    if not adapter or not numeric:
        _check_partial(layers, path)
        made = next((f" It was made for {told[key][:SHOWN]}." for key in ("base_model", *ELSEWHERE) if told.get(key)), "")
        problem = f"'{path.name}' holds no LoRA for the studio's generators.{made}"
        raise StudioError(problem, "Choose a LoRA that this studio has written.")
    scores = _table(told.get("scores"))
    held_out = scores.get("held_out_seeds")
    return About(
        told.get("base_model", "")[:SHOWN],
        adapter,
        rank,
        sum(math.prod(shape) for shape in layers.values()),
        _table(told.get("recipe")),
        _numbers(scores.get("before")),
        _numbers(scores.get("after")),
        len(held_out) if isinstance(held_out, list) else 0,
    ), told


def _check_partial(layers: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raises StudioError for a LoRA of a UNet that also changes something which the studio has no place for."""
    strange = [n for n, shape in layers.items() if not (n.startswith(interchange.OWN) and n.endswith(HALVES) and len(shape) == 2)]
    if strange and len(strange) < len(layers):
        problem = f"'{path.name}' changes more than the UNet's attention: first '{strange[0][:SHOWN]}'."
        raise StudioError(problem, "Choose a LoRA of the attention projections alone.")


def _kind(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, int]:
    """("lora", its largest rank), ("prompt", 0), or ("", 0) for anything else."""
    if set(shapes) == {OFFSET}:
        return "prompt", 0
    of_layers = {n: s for n, s in shapes.items() if n.startswith(interchange.OWN) and len(s) == 2}
    down, up = ({n.removesuffix(half): s for n, s in of_layers.items() if n.endswith(half)} for half in HALVES)
    whole = len(down) + len(up) == len(shapes) and down.keys() == up.keys()
    fitting = whole and all(0 < shape[0] == up[layer][1] for layer, shape in down.items())
    return ("lora", max(shape[0] for shape in down.values())) if down and fitting else ("", 0)


def _damaged(path: Path, why: str) -> StudioError:
    return StudioError(f"'{path.name}' cannot be read as a LoRA: {why}.", "Choose another file, or get a whole copy of this one.")


def _table(text: str | None) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _numbers(found: Any) -> dict[str, float]:
    """The finite numbers of a table by name; empty for anything else."""
    if not isinstance(found, Mapping):
        return {}
    numbers = {str(n): v for n, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {n: float(v) for n, v in numbers.items() if abs(v) < 1e300}


# -- what a run has taught ----------------------------------------------------------------------------------------------------


def learned(base_model: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """What a receipt says of the LoRA of a finished run."""
    return {"base_model": base_model} | {name: report[name] for name in ("before", "after", "held_out_seeds")}


def finished(checkpoint: Mapping[str, Any], tensors: Mapping[str, Tensor], receipt: Mapping[str, Any]) -> dict[str, Any]:
    """The last checkpoint of a run together with what the run has taught in the end."""
    if not tensors:
        return dict(checkpoint)
    return {**checkpoint, "taught": {"lora": dict(tensors), "learned": dict(receipt.get("learned", {}))}}


def taught(checkpoint: Mapping[str, Any] | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The LoRA in a checkpoint, and what a receipt says of it; both empty where nothing was learned."""
    state = checkpoint or {}
    if "taught" in state:
        return dict(state["taught"]["lora"]), dict(state["taught"]["learned"])
    tensors = dict(state.get("trainer", {}).get("lora", {}))
    if not tensors:
        return {}, {}
    before, steps = state.get("objective", {}).get("untrained") or {}, state.get("steps") or [{}]
    report = {"before": dict(before), "after": dict(steps[-1]), "held_out_seeds": []}
    return tensors, learned(str(state.get("base_model", "")), report)
