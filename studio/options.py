"""What a command's options say, where that is more than a value: NAME=WEIGHT, FILE=SCALE, and masks for all rewards or one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from studio import rewards
from studio.errors import StudioError


def weights(items: Sequence[str]) -> dict[str, float]:
    """`NAME=WEIGHT` as weights by name. Raises StudioError."""
    found: dict[str, float] = {}
    for item in items:
        name, equals, number = item.partition("=")
        try:
            found[name] = float(number) if equals else 1.0
        except ValueError:
            problem = f"'{item}' is not a reward with a weight."
            raise StudioError(problem, "Write it as NAME=WEIGHT, for example symmetry=1.") from None
    return found


def masks(items: Sequence[str]) -> dict[str, list[str]]:
    """`PNG` or `REWARD=PNG` as absolute paths by reward, those of all rewards under ""; an empty path stays empty.

    Raises StudioError for a reward that there is not.
    """
    found: dict[str, list[str]] = {}
    for item in items:
        name, equals, path = item.partition("=")
        if not equals or Path(item).exists():  # a file may have the sign in its name
            name, path = "", item
        elif name not in rewards.SOCKET.names():
            rewards.SOCKET.load(name)
        found.setdefault(name, []).extend(files([path]))
    return found


def loras(items: Sequence[str]) -> list[tuple[Path, float]]:
    """`FILE` or `FILE=SCALE` as absolute paths with scales, 1 where none is given. Raises StudioError."""
    found = []
    for item in items:
        file, equals, scale = item.rpartition("=")
        if not equals or Path(item).exists():  # a file may have the sign in its name
            file, scale = item, "1"
        try:
            found.append((Path(file).absolute(), float(scale)))
        except ValueError:
            raise StudioError(f"'{item}' is not a LoRA with a scale.", "Write FILE=SCALE, with a scale of 0 to 1.") from None
    return found


def generator(name: str | None, model: str | None, control: str | None) -> dict[str, str] | None:
    """What paints, from which weights, as `studio.config.parse` reads it; paths become absolute. None where nothing is said."""
    given = {"name": name, "model": model and placed(model), "control": control and placed(control)}
    return {key: value for key, value in given.items() if value is not None} or None


def placed(item: str) -> str:
    """The absolute path of a file or folder; the name of a model stays what it is."""
    return str(Path(item).expanduser().absolute()) if Path(item).expanduser().exists() else item


def files(items: Sequence[str]) -> list[str]:
    """Absolute paths; an empty one stays empty."""
    return [str(Path(item).absolute()) if item else "" for item in items]


def reward_tables(weighted: dict[str, float], regions: dict[str, list[str]]) -> dict[str, dict[str, object]]:
    """Settings of rewards from their weights and own masks, as `studio.config.parse` reads them."""
    names = dict.fromkeys([*weighted, *filter(None, regions)])
    parts = {"weight": weighted, "region": regions}
    return {name: {key: part[name] for key, part in parts.items() if name in part} for name in names}
