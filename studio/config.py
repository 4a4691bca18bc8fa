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
    [loras.rust]
    file = "rust.safetensors"
    scale = 0.6
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio import critics, generators, lora, renderers, resources, rewards, trainers
from studio.errors import StudioError, unknown
from studio.files import toml
from studio.generators import Generator
from studio.plug import Socket, checked, knob, knobs, shown
from studio.rewards import Reward
from studio.trainers import Trainer

WEIGHT_LIMIT = 100.0
PROMPT_LIMIT = 1000


@dataclass(frozen=True)
class Weighted:
    """A reward with its weight and where it works."""

    name: str
    weight: float
    reward: Reward
    region: tuple[str, ...] = ()
    """Masks of this reward alone, as `Config.region`."""


@dataclass(frozen=True)
class Loaded:
    """A LoRA of a file that is in use: it stays as it is, under whatever is learned."""

    name: str
    file: str = knob("", "Its file, as the studio or another program wrote it in safetensors.")
    scale: float = knob(1.0, "How much it counts; 0 leaves the generator exactly as it is.", low=0, high=1)


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run does. Two runs of one config on one machine's CPU give the same bytes."""

    generator: Generator = field(default_factory=lambda: generators.SOCKET.make("mini"))
    trainer: Trainer = field(default_factory=lambda: trainers.SOCKET.make("sample"))
    rewards: tuple[Weighted, ...] = ()
    loras: tuple[Loaded, ...] = ()
    prompt: str = knob("blue and white stripes", "What the surface should look like.")
    seed: int = knob(0, "Which of the generator's variations to paint.", low=0, high=9_999)
    iterations: int = knob(16, "Learning steps.", low=0, high=100_000)
    atlas_px: int = knob(1024, "Side of the exported texture.", low=256, high=4096, unit="px")
    unwrap: bool = knob(False, "Lay out new UVs even where the mesh has usable ones.")
    views: int = knob(6, "Pictures painted together; more are added until the mesh is covered.", low=1, high=16)
    max_views: int = knob(8, "Never more pictures than this.", low=1, high=16)
    region: tuple[str, ...] = knob((), "Grey pictures on the texture: rewards push hard where they are white, not where black.")
    lock: tuple[str, ...] = knob((), "Grey pictures on the texture: what is white in them stays as the mesh has it.")
    angle_mask_deg: float = knob(90.0, "Push only what a view sees at most so slantwise; 90: all.", low=5, high=90, unit="°")
    reward_chunk: int = knob(4, "Views that picture rewards see at a time: fewer need less memory.", low=1, high=16)
    held_out: int = knob(0, "Seeds never trained on, painted before and after learning to measure the gain.", low=0, high=64)
    judge: str = knob(
        "judge",
        "Who judges: a critic that no reward of the run follows; the studio brings one.",
        choices=tuple(critics.SOCKET.names()),
    )
    judge_path: str = knob("", "Folder with the files of a judge of your own; empty: where `studio models` has put them.")
    judge_every: int = knob(2, "Iterations from one look of the judge to the next; 0: nobody judges.", low=0, high=1000)
    device: str = knob("auto", "Where to compute: auto, cpu, cuda, cuda:1, mps.")
    renderer: str = knob("auto", "Which rasteriser: auto, embree, nvdiffrast.")

    def weights(self) -> dict[str, float]:
        """Reward weights by name."""
        return {w.name: w.weight for w in self.rewards}

    def scales(self) -> dict[str, float]:
        """How much each loaded LoRA counts, by name."""
        return {loaded.name: loaded.scale for loaded in self.loras}

    def check_loras(self) -> None:
        """Raises StudioError for a loaded LoRA whose file is missing or damaged, or made for another generator."""
        for loaded in self.loras:
            lora.check(lora.about(Path(loaded.file)), generators.SOCKET.name_of(self.generator), loaded.name)

    def check(self) -> None:
        """Raises StudioError for a prompt that says nothing, is no text, or is longer than anybody means, for a trainer whose
        settings cannot work, and when held-out seeds are to be looked at, but none are held out."""
        self.trainer.check()
        for prompt in (self.prompt, *getattr(self.trainer, "prompts", ())):
            if not prompt.strip():
                raise StudioError("The prompt is empty.", 'Say how the surface should look, such as "blue and white stripes".')
            if len(prompt) > PROMPT_LIMIT:
                problem = f"The prompt has {len(prompt):,} characters."
                raise StudioError(problem, f"Say it in at most {PROMPT_LIMIT:,}.")
            try:
                prompt.encode()
            except UnicodeEncodeError:
                raise StudioError("The prompt holds bytes that are no text.", "Type it again, as UTF-8.") from None
        if getattr(self.trainer, "held_out_every", 0) and not self.held_out:
            problem = "Held-out seeds are to be looked at while learning, but none are held out."
            raise StudioError(problem, "Set held_out to 2 or more, or held_out_every to 0.")

    def check_rewards(self) -> None:
        """Raises StudioError when a trainer that follows rewards is to work, and no reward has a weight."""
        if self.trainer.follows_rewards and self.iterations and not any(self.weights().values()):
            problem = "No reward has a weight other than 0, so there is nothing to learn from."
            raise StudioError(problem, "Give one a weight, such as --reward symmetry=1, or choose the trainer 'sample'.")

    def masks(self) -> dict[str, tuple[str, ...]]:
        """The files of all masks by setting: "region", "lock", "rewards.<name>.region"; without those that have none."""
        own = {f"rewards.{w.name}.region": w.region for w in self.rewards}
        return {setting: paths for setting, paths in {"region": self.region, "lock": self.lock, **own}.items() if any(paths)}

    def with_masks(self, place: Callable[[str], str]) -> Config:
        """The same with every mask's file elsewhere: at `place` of its path; nowhere where that is empty."""

        def moved(paths: tuple[str, ...]) -> tuple[str, ...]:
            found = tuple(path and place(path) for path in paths)
            return found if any(found) else ()

        rewards = tuple(dataclasses.replace(w, region=moved(w.region)) for w in self.rewards)
        return dataclasses.replace(self, region=moved(self.region), lock=moved(self.lock), rewards=rewards)

    def public(self) -> Config:
        """The same for whoever gets the painted mesh: files by their names, not by where they lie on the user's disk."""
        named = self.with_masks(lambda path: Path(path).name).with_loras(lambda path: Path(path).name)
        plugs = {"generator": self.generator.public(), "trainer": self.trainer.public(), "judge_path": Path(self.judge_path).name}
        followed = tuple(dataclasses.replace(w, reward=w.reward.public()) for w in named.rewards)
        return dataclasses.replace(named, rewards=followed, **plugs)

    def with_loras(self, place: Callable[[str], str]) -> Config:
        """The same with every loaded LoRA's file elsewhere: at `place` of its path."""
        return dataclasses.replace(self, loras=tuple(dataclasses.replace(one, file=place(one.file)) for one in self.loras))

    def table(self) -> dict[str, Any]:
        """The config as nested plain values, the inverse of `parse`."""
        plain = {name: getattr(self, name) for name in knobs(self)}
        plain["generator"] = _table(generators.SOCKET, self.generator)
        plain["trainer"] = _table(trainers.SOCKET, self.trainer)
        plain["rewards"] = {w.name: {"weight": w.weight, "region": w.region, **_values(w.reward)} for w in self.rewards}
        plain["loras"] = {loaded.name: _values(loaded) for loaded in self.loras}
        return plain

    def to_toml(self) -> str:
        """The config as TOML; `parse(tomllib.loads(...))` gives an equal config."""
        table = self.table()
        lines = [f"{k} = {toml(v)}" for k, v in table.items() if not isinstance(v, dict)]
        for name in ("generator", "trainer"):
            lines += ["", f"[{name}]", *(f"{k} = {toml(v)}" for k, v in table[name].items() if v is not None)]
        for name, values in table["rewards"].items():
            lines += ["", f"[rewards.{name}]", *(f"{k} = {toml(v)}" for k, v in values.items() if v is not None)]
        for name, values in table["loras"].items():
            lines += ["", f"[loras.{toml(name)}]", *(f"{k} = {toml(v)}" for k, v in values.items())]
        return "\n".join(lines) + "\n"


def parse(table: Mapping[str, Any], *, base: Config | None = None) -> Config:
    """`base` (or the defaults) changed by a possibly partial table of settings.

    A plug table without a name changes the base's plug; with another name it replaces it. Raises StudioError for anything
    unknown, of the wrong type or out of range, with the nearest valid name.
    """
    base = base or Config()
    fields = {"generator", "trainer", "rewards", "loras", *knobs(Config)}
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
    if "loras" in table:
        if not isinstance(table["loras"], Mapping):
            raise StudioError("The LoRAs must be tables.", "Write [loras.NAME] with a file in it.")
        loaded = {one.name: one for one in base.loras}
        loaded |= {name: _loaded(name, values, loaded.get(name)) for name, values in table["loras"].items()}
        changes["loras"] = tuple(loaded.values())
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
    table = read_toml(path)
    for values in table["loras"].values() if isinstance(table.get("loras"), dict) else ():
        if isinstance(values, dict) and isinstance(values.get("file"), str):
            values["file"] = str(path.absolute().parent / values["file"])  # what is absolute stays so
    return table


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
    region = base.region if base else ()
    if "region" in values:
        region = checked(Config, {"region": values["region"]}, what=f"reward '{name}'")["region"]
    settings = {k: v for k, v in values.items() if k not in ("weight", "region")}
    made = rewards.SOCKET.make(name, **{**(_values(base.reward) if base else {}), **settings})
    return Weighted(name, float(weight), made, region)


def _loaded(name: str, values: Any, base: Loaded | None) -> Loaded:
    if isinstance(values, str):
        values = {"file": values}
    if not isinstance(values, Mapping):
        raise StudioError(f"The LoRA '{name}' must be a file or a table.", f"Write [loras.{toml(name)}] with a file in it.")
    settings = {**(_values(base) if base else {}), **checked(Loaded, values, what=f"LoRA '{name}'")}
    if not settings.get("file"):
        raise StudioError(f"The LoRA '{name}' has no file.", f'Write file = "…" below [loras.{toml(name)}].')
    return Loaded(name, **settings)


def _known_choice(key: str, value: str) -> None:
    if key == "renderer" and value != "auto" and value not in renderers.SOCKET.names():
        raise unknown("renderer", value, ["auto", *renderers.SOCKET.names()])
    if key == "device" and value.split(":")[0] not in {"auto", "cpu", "cuda", "mps"}:
        raise unknown("device", value, ["auto", "cpu", "cuda", "mps"])


def _values(plug: object) -> dict[str, Any]:
    return {name: getattr(plug, name) for name in knobs(plug)}


def _table(socket: Socket[Any], plug: object) -> dict[str, Any]:
    return {"name": socket.name_of(plug), **_values(plug)}
