"""The document of a window: a mesh and its settings, frozen; every edit replaces it whole, and undo is a list of documents."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.config import Config, parse, preset
from studio.errors import StudioError, unknown
from studio.plug import knobs
from studio.progress import Live

UNDO_LIMIT = 500
"""Documents remembered in each direction; one is a few hundred bytes."""

KEPT_BY_PRESETS = ("prompt", "seed", "unwrap", "device", "renderer", "region", "lock")
"""Settings that say what and where, not how: a preset that does not name them leaves them as they are."""


@dataclass(frozen=True)
class Document:
    """What undo, project files and the settings forms speak of."""

    mesh: Path
    """The mesh file."""
    config: Config


@dataclass(frozen=True)
class _Step:
    """A document that can be returned to, and the edit that lies between it and the next."""

    document: Document
    label: str


class History:
    """The present document and those before and after it.

    Successive edits of one key are one step until `commit`: a slider that is dragged through a hundred values is undone at once.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._past: list[_Step] = []
        self._future: list[_Step] = []
        self._open: str | None = None

    def edit(self, document: Document, *, key: str) -> bool:
        """Replace the document; `key` is also the step's label. False when nothing changes."""
        if document == self.document:
            return False
        if self._open != key or not self._past:
            self._past.append(_Step(self.document, key))
            del self._past[:-UNDO_LIMIT]
        elif self._past[-1].document == document:
            self._past.pop()  # dragged back to where it began
            self._open = None
            self.document = document
            self._future.clear()
            return True
        self._open = key
        self._future.clear()
        self.document = document
        return True

    def commit(self) -> None:
        """The next edit is a step of its own."""
        self._open = None

    def undo(self) -> bool:
        """Back by one step. False when there is none."""
        return self._move(self._past, self._future)

    def redo(self) -> bool:
        """Forth by one step. False when there is none."""
        return self._move(self._future, self._past)

    def _move(self, source: list[_Step], target: list[_Step]) -> bool:
        self._open = None
        if not source:
            return False
        step = source.pop()
        target.append(_Step(self.document, step.label))
        self.document = step.document
        return True

    @property
    def undo_label(self) -> str | None:
        """What `undo` would take back."""
        return self._past[-1].label if self._past else None

    @property
    def redo_label(self) -> str | None:
        """What `redo` would do again."""
        return self._future[-1].label if self._future else None


# -- edits: config → config; all raise StudioError for unknown names and values out of range ---------------------------------


def with_knob(config: Config, part: str, knob: str, value: Any) -> Config:
    """`part` is "run", "generator", "trainer", "rewards.<name>" or "loras.<name>"; a reward's "weight" is one of its knobs."""
    if part == "run":
        return parse({knob: value}, base=config)
    if part in ("generator", "trainer"):
        return parse({part: {knob: value}}, base=config)
    if part.startswith("loras."):
        name = part.removeprefix("loras.")
        _loaded(config, name)
        return parse({"loras": {name: {knob: value}}}, base=config)
    name = part.removeprefix("rewards.")
    _present(config, name)
    return parse({"rewards": {name: {knob: value}}}, base=config)


def with_plug(config: Config, part: str, name: str) -> Config:
    """Another generator or trainer, with its own defaults; what both have in common is carried over where it fits."""
    if part not in ("generator", "trainer"):
        raise unknown("part", part, ("generator", "trainer"))
    changed = parse({part: name}, base=config)
    old, new = getattr(config, part), getattr(changed, part)
    for knob in set(knobs(old)) & set(knobs(new)) - {"rate"}:  # a rate means something else to every trainer
        try:
            changed = parse({part: {knob: getattr(old, knob)}}, base=changed)
        except StudioError:  # out of the new one's range
            continue
    return changed


def with_reward(config: Config, name: str) -> Config:
    """One more reward, at its default weight."""
    if name in config.weights():
        raise StudioError(f"The reward '{name}' is there already.", "Change its weight.")
    return parse({"rewards": {name: {}}}, base=config)


def without_reward(config: Config, name: str) -> Config:
    """One reward less."""
    _present(config, name)
    return dataclasses.replace(config, rewards=tuple(w for w in config.rewards if w.name != name))


def with_lora(config: Config, file: Path, *, name: str = "", scale: float = 1.0) -> Config:
    """One more loaded LoRA, called `name` or after its file. Raises StudioError, also for a file that cannot be used."""
    if any(Path(loaded.file) == file for loaded in config.loras):
        raise StudioError(f"'{file.name}' is loaded already.", "Change its scale.")
    called = name = name or file.stem
    for n in itertools.count(2):
        if name not in config.scales():
            break
        name = f"{called} {n}"
    changed = parse({"loras": {name: {"file": str(file), "scale": scale}}}, base=config)
    dataclasses.replace(changed, loras=changed.loras[-1:]).check_loras()
    return changed


def without_lora(config: Config, name: str) -> Config:
    """One loaded LoRA less."""
    _loaded(config, name)
    return dataclasses.replace(config, loras=tuple(loaded for loaded in config.loras if loaded.name != name))


def _loaded(config: Config, name: str) -> None:
    if not config.loras:
        raise StudioError("No LoRA is loaded.", "Add one first.")
    if name not in config.scales():
        raise unknown("loaded LoRA", name, config.scales())


def with_preset(config: Config, name: str) -> Config:
    """A preset in place of the settings, except for those that say what to paint and where to compute."""
    kept = {key: getattr(config, key) for key in KEPT_BY_PRESETS} | {"loras": config.table()["loras"]}
    return parse(preset(name), base=parse(kept))


def _present(config: Config, name: str) -> None:
    if not config.rewards:
        raise StudioError("No reward is in use.", "Add one first.")
    if name not in config.weights():
        raise unknown("reward in use", name, config.weights())


def difference(old: Config, new: Config) -> tuple[str, ...]:
    """The names of the settings that differ, as a user reads them: "seed", "generator steps", "palette colors", "rewards"."""
    a, b = old.table(), new.table()
    names = [_said(key) for key in a if not isinstance(a[key], Mapping) and a[key] != b[key]]
    for part in ("generator", "trainer"):
        if a[part]["name"] != b[part]["name"]:
            names.append(part)
        else:
            names += [f"{part} {_said(key)}" for key in a[part] if a[part][key] != b[part][key]]
    for part, kind in (("rewards", ""), ("loras", "LoRA ")):
        for name in dict.fromkeys([*a[part], *b[part]]):
            one, other = a[part].get(name), b[part].get(name)
            if one is None or other is None:
                names.append(f"{kind}{name} {'added' if one is None else 'removed'}")
            else:
                names += [f"{kind}{name} {_said(key)}" for key in one if one[key] != other[key]]
    return tuple(names)


def _said(key: str) -> str:
    return key.removesuffix("_px").replace("_", " ")


LIVE_TRAINER_KNOBS = ("rate", "anchor", "k")


def as_run(started: Config, now: Config) -> Config:
    """The settings a run that was started with `started` works with while the document says `now`: what is live has moved on."""
    weights = now.weights()
    rewards = tuple(dataclasses.replace(w, weight=weights[w.name]) for w in started.rewards if w.name in weights)
    trainer = started.trainer
    if type(trainer) is type(now.trainer):
        own = {k: getattr(now.trainer, k) for k in LIVE_TRAINER_KNOBS if k in knobs(trainer)}
        trainer = dataclasses.replace(trainer, **own)
    scales = _scales(started, now)
    loras = tuple(dataclasses.replace(one, scale=scales[one.name]) for one in started.loras if one.name in scales)
    return dataclasses.replace(started, rewards=rewards, trainer=trainer, prompt=now.prompt, loras=loras)


def _scales(started: Config, now: Config) -> dict[str, float]:
    """How much each LoRA that was loaded then, and still is, counts now."""
    files = {loaded.name: loaded.file for loaded in started.loras}
    return {loaded.name: loaded.scale for loaded in now.loras if files.get(loaded.name) == loaded.file}


def live(started: Config, now: Config, heat: str | None) -> Live:
    """What the run that was started with `started` is to be told while the document says `now`; `heat`: see Live."""
    same = type(now.trainer) is type(started.trainer)
    own = {name: getattr(now.trainer, name, None) for name in LIVE_TRAINER_KNOBS} if same else {}
    scales = _scales(started, now)
    return Live(weights=now.weights(), loras=scales, prompt=now.prompt, heat=heat, watched=True, **own)
