"""Picks: which of two textures is better. A log of lines beside a run, and one file of tensors for each texture.

A folder holds `picks.jsonl`, to which lines are only ever added, so that nothing is lost when a run or the machine stops, and a
file `<sha256 of its bytes>.safetensors` for each texture. The lines, as JSON:

    {"sample": key, "prompt": …, "seed": …, "subject": {…}}     a texture; `subject` says what was painted by what
    {"score": name, "of": key, "value": …}                      what a score said of it
    {"better": key, "worse": key, "by": "hand"}                 a pick, by a person or a score
    {"undo": "hand", "better": key, "worse": key}               that pick, or else the last by that one, was taken back

Folders may come from anybody: only JSON and safetensors are read, and every texture must be what its name says.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import files, resources
from studio.errors import OutputError, StudioError

if TYPE_CHECKING:
    from torch import Tensor

LOG = "picks.jsonl"
HAND = "hand"
"""A person's own picks."""
FEWEST, FEWEST_FOR_TASTE = 4, 8
"""Picks below which no generator, and no taste, can learn anything."""
DOUBTFUL = 0.65
"""A taste that agrees with fewer of the picks that it was not fitted to is hardly one."""
LARGEST_BYTES, LARGEST_LOG_BYTES = 256 << 20, 64 << 20
_KEY = re.compile(r"[0-9a-f]{64}")
_writing = threading.Lock()  # what is added at the end of a file by two threads at once is not kept apart by every system


@dataclass(frozen=True)
class Sample:
    """A texture that can be picked."""

    key: str
    prompt: str
    seed: int
    subject: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pick:
    """One texture was found better than another."""

    better: str
    worse: str
    by: str = HAND


PLACE = ("mesh", "cameras", "base_model")
"""The parts of a subject that decide whether latents of one run mean anything to another; loaded LoRAs do not."""


def fits(sample: Sample, subject: Mapping[str, Any]) -> bool:
    """Whether a texture's latents are of the same mesh, seen from the same cameras, by the same generator."""
    plain = files.jsonable(subject)
    return all(sample.subject.get(part) == plain.get(part) for part in PLACE)


def home(subject: Mapping[str, Any]) -> Path:
    """Where the picks of a subject lie when nobody says where; it need not exist yet."""
    place = files.jsonable({part: subject.get(part) for part in PLACE})
    return all_homes() / hashlib.sha256(json.dumps(place, sort_keys=True).encode()).hexdigest()[:16]


def all_homes() -> Path:
    """The folder of all such folders."""
    return resources.autosave_dir().with_name("picks")


def by_hand() -> int:
    """How many picks a person has made on this machine, of all subjects."""
    places = all_homes()
    return sum(len(Picks(folder).by(HAND)) for folder in places.iterdir() if folder.is_dir()) if places.is_dir() else 0


class Picks:
    """The picks of one folder. What cannot be understood is left out and counted in `damaged`."""

    def __init__(self, folder: Path) -> None:
        """Reads what is there; a folder that does not exist yet has no picks. Raises StudioError when it cannot be read."""
        self.folder = folder
        self.samples: dict[str, Sample] = {}
        self.picks: list[Pick] = []
        self.scores: dict[str, dict[str, float]] = {}
        """What each score said, by key."""
        self.damaged = 0
        for line in _lines(folder / LOG):
            if not self._understood(line):
                self.damaged += 1

    def by(self, whom: str) -> list[Pick]:
        """The picks of a person or a score, in order."""
        return [pick for pick in self.picks if pick.by == whom]

    def yours(self) -> list[Pick]:
        """The picks by hand; those of all scores where there are none."""
        return self.by(HAND) or self.picks

    def x0(self, key: str) -> Tensor:
        """The clean latents [V, C, h, w] float16 that were painted. Raises StudioError when they are gone or damaged."""
        return self._tensors(key)["x0"]

    def pictures(self, key: str) -> Tensor:
        """The lit texture [N, 3, h, w] uint8, as it was picked. Raises StudioError when it is gone or damaged."""
        return self._tensors(key)["pictures"]

    # -- adding -------------------------------------------------------------------------------------------------------------

    def add(self, *, x0: Tensor, pictures: Tensor, prompt: str, seed: int, subject: Mapping[str, Any]) -> Sample:
        """Keep a texture: its latents, and its pictures [N, 3, h, w] uint8. Raises OutputError."""
        from safetensors.torch import save

        data = save({"x0": x0.detach().half().cpu().contiguous(), "pictures": pictures.detach().cpu().contiguous()})
        sample = Sample(hashlib.sha256(data).hexdigest(), prompt, seed, files.jsonable(subject))
        if sample.key not in self.samples:
            self._make_folder()
            files.write_bytes(self.path(sample.key), data)
            self._say({"sample": sample.key, "prompt": prompt, "seed": seed, "subject": sample.subject})
        return sample

    def score(self, key: str, name: str, value: float) -> None:
        """Remember what a score said of a texture. Raises OutputError."""
        self._say({"score": name, "of": key, "value": value})

    def prefer(self, better: str, worse: str, *, by: str = HAND) -> Pick:
        """Remember a pick. Raises OutputError."""
        self._say({"better": better, "worse": worse, "by": by})
        return self.picks[-1]

    def undo(self, *, by: str = HAND, of: Pick | None = None) -> Pick | None:
        """Take the last pick by this one back, or `of`, and say which it was; None when there is none. Raises OutputError."""
        last = next((pick for pick in reversed(self.picks) if pick.by == by and of in (None, pick)), None)
        if last is not None:
            self._say({"undo": by, "better": last.better, "worse": last.worse})
        return last

    def take_in(self, source: Path) -> int:
        """Add what another folder has and this one has not; the number of new picks. Raises StudioError for what is damaged."""
        other = Picks(source)
        if not other.samples:
            raise StudioError(f"There are no picks in '{source}'.", f"Choose the folder that holds {LOG}.")
        lines: list[dict[str, Any]] = []
        for key, sample in other.samples.items():
            if key not in self.samples:
                data = other._bytes(key)
                _checked(data, key)
                self._make_folder()
                files.write_bytes(self.path(key), data)
                lines.append({"sample": key, "prompt": sample.prompt, "seed": sample.seed, "subject": sample.subject})
        for name, values in other.scores.items():
            known = self.scores.get(name, {})
            lines += [{"score": name, "of": key, "value": value} for key, value in values.items() if key not in known]
        mine = set(self.picks)
        fresh = [pick for pick in other.picks if pick not in mine]
        self._say(*lines, *({"better": pick.better, "worse": pick.worse, "by": pick.by} for pick in fresh))
        return len(fresh)

    def export(self, target: Path) -> int:
        """Write all picks and their textures into another folder, without what was taken back; the number of picks there are.

        Raises StudioError.
        """
        Picks(target).take_in(self.folder)
        return len(self.picks)

    # -- files --------------------------------------------------------------------------------------------------------------

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"The folder '{self.folder}' for picks cannot be made: {error.strerror or error}."
            raise OutputError(problem, "Choose another folder.") from error

    def _say(self, *lines: Mapping[str, Any]) -> None:
        """Add lines, on disk when this returns."""
        self._make_folder()
        path = self.folder / LOG
        try:
            with _writing, path.open("a+b") as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # the machine stopped in the middle of a line
                        file.write(b"\n")
                file.write(b"".join(json.dumps(line).encode("ascii") + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            problem = f"'{path}' cannot be written: {error.strerror or error}."
            raise OutputError(problem, "Free some space, or choose another folder.") from error
        for line in lines:
            understood = self._understood(dict(line))
            assert understood, line

    def _understood(self, line: Any) -> bool:
        """Take one line of the log to heart, if it makes sense."""
        match line:
            case {"sample": str(key), "prompt": str(prompt), "seed": int(seed), "subject": dict(subject)}:
                if not _KEY.fullmatch(key) or not self.path(key).is_file():
                    return False
                self.samples[key] = Sample(key, prompt, seed, subject)
            case {"score": str(name), "of": str(key), "value": int() | float() as value}:
                if key not in self.samples or not abs(value) <= sys.float_info.max:
                    return False
                self.scores.setdefault(name, {})[key] = float(value)
            case {"better": str(better), "worse": str(worse), "by": str(by)}:
                if better == worse or not {better, worse} <= self.samples.keys():
                    return False
                self.picks.append(Pick(better, worse, by))
            case {"undo": str(by)}:
                of = Pick(line["better"], line["worse"], by) if {"better", "worse"} <= line.keys() else None
                last = max((n for n, pick in enumerate(self.picks) if pick.by == by and of in (None, pick)), default=None)
                if last is None:
                    return False
                del self.picks[last]
            case _:
                return False
        return True

    def path(self, key: str) -> Path:
        """The file of a texture."""
        return self.folder / f"{key}.safetensors"

    def _bytes(self, key: str) -> bytes:
        try:
            with self.path(key).open("rb") as file:
                data = file.read(LARGEST_BYTES + 1)
        except OSError as error:
            raise StudioError(f"A picked texture cannot be read: {error.strerror or error}.", "Pick again.") from error
        if len(data) > LARGEST_BYTES or hashlib.sha256(data).hexdigest() != key:
            raise StudioError(f"A picked texture is damaged: {self.path(key).name}.", "Delete this file and pick again.")
        return data

    def _tensors(self, key: str) -> dict[str, Tensor]:
        return _checked(self._bytes(key), key)


def _checked(data: bytes, key: str) -> dict[str, Tensor]:
    """The tensors of a texture's file. Raises StudioError when they are no texture's."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    wrong = StudioError(f"'{key[:12]}….safetensors' holds no picked texture.", "Take these picks from where they were made.")
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, struct.error) as error:
        raise wrong from error
    x0, pictures = tensors.get("x0"), tensors.get("pictures")
    if x0 is None or pictures is None or x0.ndim != 4 or x0.dtype != torch.float16 or not x0.isfinite().all():
        raise wrong
    if pictures.ndim != 4 or pictures.shape[1] != 3 or pictures.dtype != torch.uint8:
        raise wrong
    return tensors


def _lines(path: Path) -> Iterator[Any]:
    """The lines of a log; None for one that is no JSON, as the last one of a machine that lost its power."""
    try:
        if not path.is_file():
            return
        if path.stat().st_size > LARGEST_LOG_BYTES:
            raise StudioError(f"'{path}' is too large for a list of picks.", "Choose another folder.")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise StudioError(
            f"The picks in '{path}' cannot be read: {error.strerror or error}.", "Choose another folder."
        ) from error
    for line in filter(str.strip, text.split("\n")):  # prompts may hold other characters that end a line, too
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            yield None
