"""Settings of a run: one frozen `Config`, its TOML form, and presets, which are partial configs.

A config file holds the plain settings at its top, then one table per plug:

    prompt = "blue and white stripes"
    iterations = 24
    [generator]
    name = "mini"
    [trainer]
    name = "lora_reward"
    rate = 0.002
    [rewards.symmetry]
    weight = 1.0
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio import generators, renderers, resources, rewards, trainers
from studio.errors import StudioError, unknown
from studio.generators import Generator
from studio.plug import Socket, checked, knob, knobs, shown
from studio.rewards import Reward
from studio.trainers import Trainer

WEIGHT_LIMIT = 100.0
PROMPT_LIMIT = 1000


@dataclass(frozen=True)
class Weighted:
    """A reward with its weight."""

    name: str
    weight: float
    reward: Reward


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run does. Two runs of one config on one machine's CPU give the same bytes."""

    generator: Generator = field(default_factory=lambda: generators.SOCKET.make("mini"))
    trainer: Trainer = field(default_factory=lambda: trainers.SOCKET.make("sample"))
    rewards: tuple[Weighted, ...] = ()
    prompt: str = knob("blue and white stripes", "What the surface should look like.")
    seed: int = knob(0, "Which of the generator's variations to paint.", low=0, high=9_999)
    iterations: int = knob(16, "Learning steps.", low=0, high=100_000)
    atlas_px: int = knob(1024, "Side of the exported texture.", low=256, high=4096, unit="px")
    unwrap: bool = knob(False, "Lay out new UVs even where the mesh has usable ones.")
    views: int = knob(6, "Pictures painted together; more are added until the mesh is covered.", low=1, high=16)
    max_views: int = knob(8, "Never more pictures than this.", low=1, high=16)
    held_out: int = knob(0, "Seeds never trained on, painted before and after learning to measure the gain.", low=0, high=64)
    device: str = knob("auto", "Where to compute: auto, cpu, cuda, cuda:1, mps.")
    renderer: str = knob("auto", "Which rasteriser: auto, embree, nvdiffrast.")

    def weights(self) -> dict[str, float]:
        """Reward weights by name."""
        return {w.name: w.weight for w in self.rewards}

    def check(self) -> None:
        """Raises StudioError for a prompt that says nothing, is no text, or is longer than anybody means."""
        if not self.prompt.strip():
            raise StudioError("The prompt is empty.", 'Say what the surface should look like, such as "blue and white stripes".')
        if len(self.prompt) > PROMPT_LIMIT:
            problem = f"The prompt has {len(self.prompt):,} characters."
            raise StudioError(problem, f"Say it in at most {PROMPT_LIMIT:,}.")
        try:
            self.prompt.encode()
        except UnicodeEncodeError:
            raise StudioError("The prompt holds bytes that are no text.", "Type it again, as UTF-8.") from None

    def check_rewards(self) -> None:
        """Raises StudioError when a trainer that follows rewards is to work, and no reward has a weight."""
        if self.trainer.follows_rewards and self.iterations and not any(self.weights().values()):
            problem = "No reward has a weight other than 0, so there is nothing to learn from."
            raise StudioError(problem, "Give one a weight, such as --reward symmetry=1, or choose the trainer 'sample'.")

    def table(self) -> dict[str, Any]:
        """The config as nested plain values, the inverse of `parse`."""
        plain = {name: getattr(self, name) for name in knobs(self)}
        plain["generator"] = _table(generators.SOCKET, self.generator)
        plain["trainer"] = _table(trainers.SOCKET, self.trainer)
        plain["rewards"] = {w.name: {"weight": w.weight, **_values(w.reward)} for w in self.rewards}
        return plain

    def to_toml(self) -> str:
        """The config as TOML; `parse(tomllib.loads(...))` gives an equal config."""
        table = self.table()
        lines = [f"{k} = {_toml(v)}" for k, v in table.items() if not isinstance(v, dict)]
        for name in ("generator", "trainer"):
            lines += ["", f"[{name}]", *(f"{k} = {_toml(v)}" for k, v in table[name].items() if v is not None)]
        for name, values in table["rewards"].items():
            lines += ["", f"[rewards.{name}]", *(f"{k} = {_toml(v)}" for k, v in values.items() if v is not None)]
        return "\n".join(lines) + "\n"


def parse(table: Mapping[str, Any], *, base: Config | None = None) -> Config:
    """`base` (or the defaults) changed by a possibly partial table of settings.

    A plug table without a name changes the base's plug; with another name it replaces it. Raises StudioError for anything
    unknown, of the wrong type or out of range, with the nearest valid name.
    """
    base = base or Config()
    fields = {"generator", "trainer", "rewards", *knobs(Config)}
    for key in table:
        if key not in fields and key != "description":
            raise unknown("setting", key, fields)
    changes = checked(Config, {k: v for k, v in table.items() if k in knobs(Config)}, what="the run")
    for key, socket in (("generator", generators.SOCKET), ("trainer", trainers.SOCKET)):
        if key in table:
            changes[key] = _plug(socket, table[key], getattr(base, key), key)
    if "rewards" in table:
        if not isinstance(table["rewards"], Mapping):
            raise StudioError("The rewards must be tables.", "Write [rewards.NAME] with a weight in it.")
        chosen = {w.name: w for w in base.rewards}
        for name, values in table["rewards"].items():
            chosen[name] = _reward(name, values, chosen.get(name))
        changes["rewards"] = tuple(chosen.values())
    config = dataclasses.replace(base, **changes)
    if config.max_views < config.views:
        if {"views", "max_views"} <= set(table):
            problem = f"the run: {config.views} views are more than max_views = {config.max_views}."
            raise StudioError(problem, "Raise max_views, or paint fewer views.")
        both = config.max_views if "max_views" in table else config.views
        config = dataclasses.replace(config, views=both, max_views=both)
    for key in ("device", "renderer"):
        _known_choice(key, getattr(config, key))
    return config


def preset_names() -> list[str]:
    """The presets that ship with the studio."""
    return sorted(p.stem for p in resources.presets_dir().glob("*.toml"))


def preset(name: str) -> dict[str, Any]:
    """A preset's table, by name or by path of a TOML file. Raises StudioError with the nearest name."""
    path = Path(name) if name.endswith(".toml") else resources.presets_dir() / f"{name}.toml"
    if not path.is_file():
        raise unknown("preset", name, preset_names())
    return read_toml(path)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's table. Raises StudioError when it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # also UnicodeDecodeError, TOMLDecodeError and overlong numbers
        raise StudioError(f"{path} cannot be read as TOML: {error}.", "Mend the file, or choose another preset.") from error


def _plug(socket: Socket[Any], values: Any, base: Any, key: str) -> Any:
    if isinstance(values, str):
        values = {"name": values}
    if not isinstance(values, Mapping):
        raise StudioError(f"The {key} must be a name or a table.", f"Write [{key}] with a name in it.")
    name = values.get("name", socket.name_of(base))
    if not isinstance(name, str):
        raise StudioError(f"The name of the {key} cannot be {shown(name)}.", f"Choose one of {', '.join(socket.names())}.")
    settings = {k: v for k, v in values.items() if k != "name"}
    if socket.name_of(base) == name:
        settings = {**_values(base), **settings}
    return socket.make(name, **settings)


def _reward(name: str, values: Any, base: Weighted | None) -> Weighted:
    if isinstance(values, int | float) and not isinstance(values, bool):
        values = {"weight": values}
    if not isinstance(values, Mapping):
        raise StudioError(f"The reward '{name}' must be a weight or a table.", f"Write [rewards.{name}] with a weight in it.")
    kind = rewards.SOCKET.load(name)
    weight = values.get("weight", base.weight if base else kind.default_weight)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not abs(weight) <= WEIGHT_LIMIT:
        problem = f"The weight of '{name}' cannot be {shown(weight)}."
        raise StudioError(problem, f"Give a number between -{WEIGHT_LIMIT:g} and {WEIGHT_LIMIT:g}.")
    settings = {k: v for k, v in values.items() if k != "weight"}
    return Weighted(name, float(weight), rewards.SOCKET.make(name, **{**(_values(base.reward) if base else {}), **settings}))


def _known_choice(key: str, value: str) -> None:
    if key == "renderer" and value != "auto" and value not in renderers.SOCKET.names():
        raise unknown("renderer", value, ["auto", *renderers.SOCKET.names()])
    if key == "device" and value.split(":")[0] not in {"auto", "cpu", "cuda", "mps"}:
        raise unknown("device", value, ["auto", "cpu", "cuda", "mps"])


def _values(plug: object) -> dict[str, Any]:
    return {name: getattr(plug, name) for name in knobs(plug)}


def _table(socket: Socket[Any], plug: object) -> dict[str, Any]:
    return {"name": socket.name_of(plug), **_values(plug)}


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
        return '"' + "".join(escapes.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in value) + '"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return repr(value)
