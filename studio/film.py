"""The film of a run: moments to look at again and to go on from, their textures and checkpoints as blobs on disk."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.errors import StudioError
from studio.store import Store

if TYPE_CHECKING:
    from studio.texture import Texture

MOMENTS = 60
"""About as many moments a film holds; beyond them every second one goes."""


@dataclass(frozen=True, eq=False)
class Moment:
    """One moment of a run."""

    id: int
    iteration: int
    thumbnail: np.ndarray
    """[64, 64, 4] float32 sRGB with opacity."""
    scores: Mapping[str, float]
    kept: bool = False


@dataclass(frozen=True)
class _Blobs:
    texture: str
    checkpoint: str | None

    def keys(self) -> list[str]:
        return [key for key in (self.texture, self.checkpoint) if key]


class Film:
    """Moments in order. The worker adds, the window reads `moments`, a tuple that is replaced whole."""

    def __init__(self, store: Store, *, most: int = MOMENTS) -> None:
        self.moments: tuple[Moment, ...] = ()
        self.stride = 1
        """A moment is taken at every so-manieth iteration."""
        self._store, self._most = store, most
        self._blobs: dict[int, _Blobs] = {}
        self._next = 0
        self._lock = threading.Lock()

    def wants(self, iteration: int) -> bool:
        """Whether this iteration is one to be added."""
        return iteration % self.stride == 0

    def add(
        self,
        iteration: int,
        texture: Texture,
        thumbnail: np.ndarray,
        scores: Mapping[str, float],
        checkpoint: Mapping[str, Any] | None,
    ) -> int:
        """Keep a moment and return its id; a moment of the same iteration is replaced unless it was kept."""
        blobs = _Blobs(
            self._store.put(texture_bytes(texture)), self._store.put(checkpoint_bytes(checkpoint)) if checkpoint else None
        )
        with self._lock:
            id, self._next = self._next, self._next + 1
            self._blobs[id] = blobs
            same = {m.id for m in self.moments if m.iteration == iteration and not m.kept}
            self.moments = (*self._without(same), Moment(id, iteration, thumbnail, dict(scores)))
            if len(self.moments) > self._most:
                self.stride *= 2
            between = {m.id for m in self.moments[:-1] if m.iteration % self.stride and not m.kept}
            self.moments = self._without(between)
            return id

    def keep(self, id: int | None) -> None:
        """Mark this moment as the one to go on from; None marks none."""
        with self._lock:
            self.moments = tuple(replace(m, kept=m.id == id) for m in self.moments)

    def cut(self, after: int) -> None:
        """Drop every moment later than iteration `after`: the run goes on from there another way."""
        with self._lock:
            self.moments = self._without({m.id for m in self.moments if m.iteration > after})

    def clear(self) -> None:
        """Drop all moments."""
        with self._lock:
            self.moments, self.stride = self._without({m.id for m in self.moments}), 1

    def texture(self, id: int) -> Texture:
        """A moment's texture, colours rounded to 8 bits. Raises StudioError when it is lost."""
        return texture_from(self._store.get(self._found(id).texture))

    def checkpoint(self, id: int) -> dict[str, Any] | None:
        """What a run continues from, or None where there is nothing to continue. Raises StudioError when it is lost."""
        key = self._found(id).checkpoint
        return checkpoint_from(self._store.get(key)) if key else None

    def _found(self, id: int) -> _Blobs:
        if id not in self._blobs:
            raise StudioError("This moment is no longer part of the film.", "Choose another one.")
        return self._blobs[id]

    def _without(self, ids: set[int]) -> tuple[Moment, ...]:
        for id in ids:
            self._store.release(self._blobs.pop(id).keys())
        return tuple(m for m in self.moments if m.id not in ids)


# -- bytes ------------------------------------------------------------------------------------------------------------------

_LEVELS = {"height": 65535}


def texture_bytes(texture: Texture) -> bytes:
    """A texture as compressed whole numbers: 16 bits for the height, 8 for everything else."""
    parts: list[bytes] = []
    head: dict[str, Any] = {"names": list(texture.names), "channels": []}
    for name, tensor in texture.channels.items():
        levels = _LEVELS.get(name, 255)
        rounded = tensor.detach().cpu().float().clamp(0, 1).mul(levels).round().numpy()
        parts.append(zlib.compress(rounded.astype("<u2" if levels > 255 else "u1").tobytes(), 1))
        head["channels"].append([name, list(tensor.shape), len(parts[-1])])
    header = json.dumps(head).encode()
    return b"".join([struct.pack("<I", len(header)), header, *parts])


def texture_from(data: bytes) -> Texture:
    """The inverse of `texture_bytes`, float32 on the CPU."""
    import torch

    from studio.texture import Texture

    (length,) = struct.unpack_from("<I", data)
    head, at = json.loads(data[4 : 4 + length]), 4 + length
    channels = {}
    for name, shape, size in head["channels"]:
        levels = _LEVELS.get(name, 255)
        numbers = np.frombuffer(zlib.decompress(data[at : at + size]), "<u2" if levels > 255 else "u1")
        channels[name] = torch.from_numpy(numbers.reshape(shape).astype(np.float32) / levels)
        at += size
    return Texture(tuple(head["names"]), channels)


def checkpoint_bytes(state: Mapping[str, Any]) -> bytes:
    """A run's checkpoint as safetensors: tensors by number, and everything around them as JSON. No pickle, so safe to read."""
    from safetensors.torch import save

    tensors: dict[str, Any] = {}
    plain = json.dumps(_plain(state, tensors))
    return save(tensors, {"state": plain})


def checkpoint_from(data: bytes) -> dict[str, Any]:
    """The inverse of `checkpoint_bytes`. Raises what JSON and safetensors raise for anything else."""
    from safetensors.torch import load

    (length,) = struct.unpack_from("<Q", data)
    plain = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["state"])
    return _whole(plain, load(data))


def _plain(value: Any, tensors: dict[str, Any]) -> Any:
    """`value` for JSON; dicts as pairs, because their keys may be numbers."""
    if isinstance(value, Mapping):
        return {"d": [[key, _plain(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"t" if isinstance(value, tuple) else "l": [_plain(item, tensors) for item in value]}
    if hasattr(value, "detach"):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"x": name}
    return value


def _whole(value: Any, tensors: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "x":
        return tensors[inner]
    if kind == "d":
        return {key: _whole(item, tensors) for key, item in inner}
    items = [_whole(item, tensors) for item in inner]
    return tuple(items) if kind == "t" else items
