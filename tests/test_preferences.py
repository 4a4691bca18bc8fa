"""Picks survive: restarts, torn lines, other people's folders, and being taken back."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch

from studio.errors import StudioError
from studio.preferences import LOG, Pick, Picks, Sample, home

SUBJECT = {"mesh": "m", "base_model": "tiny@0"}


def added(picks: Picks, n: int) -> list[Sample]:
    found = []
    for seed in range(n):
        x0 = torch.full((2, 3, 4, 4), float(seed))
        pictures = torch.full((2, 3, 8, 8), seed, dtype=torch.uint8)
        found.append(picks.add(x0=x0, pictures=pictures, prompt="blüe", seed=seed, subject=SUBJECT))
    return found


def test_picks_are_kept_and_come_back(tmp_path: Path) -> None:
    picks = Picks(tmp_path / "Ordner mit ü")
    a, b, c = added(picks, 3)
    picks.prefer(a.key, b.key)
    picks.prefer(c.key, b.key, by="palette_size")
    picks.score(c.key, "palette_size", -2.5)
    assert added(picks, 3) == [a, b, c]
    again = Picks(tmp_path / "Ordner mit ü")
    assert again.samples == picks.samples == {s.key: s for s in (a, b, c)} and a.prompt == "blüe" and a.subject == SUBJECT
    assert again.picks == [Pick(a.key, b.key), Pick(c.key, b.key, "palette_size")]
    assert again.scores == {"palette_size": {c.key: -2.5}} and again.damaged == 0
    assert torch.equal(again.x0(b.key), torch.ones(2, 3, 4, 4).half()) and again.pictures(c.key).unique().tolist() == [2]


def test_a_pick_is_taken_back_and_scores_keep_theirs(tmp_path: Path) -> None:
    picks = Picks(tmp_path)
    a, b = added(picks, 2)
    assert picks.undo() is None
    first = picks.prefer(a.key, b.key)
    picks.prefer(b.key, a.key)
    other = picks.prefer(b.key, a.key, by="score")
    assert picks.undo() == Pick(b.key, a.key)
    for one in (picks, Picks(tmp_path)):
        assert one.picks == [first, other] and one.by("hand") == [first]


def test_the_pick_that_is_meant_is_taken_back(tmp_path: Path) -> None:
    """Though others were imported, or made in another window, since."""
    picks = Picks(tmp_path)
    a, b, c = added(picks, 3)
    mine = picks.prefer(a.key, b.key)
    other = Picks(tmp_path).prefer(c.key, b.key)
    again = Picks(tmp_path)
    assert again.undo(of=mine) == mine and again.undo(of=mine) is None
    assert again.picks == [other] == Picks(tmp_path).picks
    with (tmp_path / LOG).open("a", encoding="utf-8") as file:
        file.write('{"undo": "hand"}\n')  # as an earlier version says it
    assert not Picks(tmp_path).picks and Picks(tmp_path).damaged == 0


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path: Path) -> None:
    picks = Picks(tmp_path)
    a, b = added(picks, 2)
    picks.prefer(a.key, b.key)
    with (tmp_path / LOG).open("a", encoding="utf-8") as file:
        file.write('{"better": "' + a.key[:10])
    again = Picks(tmp_path)
    assert again.picks == [Pick(a.key, b.key)] and again.damaged == 1
    again.prefer(b.key, a.key)
    assert len(Picks(tmp_path).picks) == 2


@pytest.mark.parametrize("prompt", ["two\u2028lines", "next\x85line", "half \ud83d a pair", "blüe"])
def test_a_prompt_may_hold_whatever_somebody_pasted(tmp_path: Path, prompt: str) -> None:
    mine, theirs = Picks(tmp_path / "mine"), Picks(tmp_path / "theirs")
    tensors = {"x0": torch.zeros(2, 3, 4, 4), "pictures": torch.zeros(2, 3, 8, 8, dtype=torch.uint8)}
    sample = theirs.add(**tensors, prompt=prompt, seed=1, subject=SUBJECT)
    mine.take_in(theirs.folder)
    for folder in (mine.folder, theirs.folder):
        assert Picks(folder).samples == {sample.key: sample} and Picks(folder).damaged == 0


def test_a_log_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """It had such prompts as they are."""
    (sample,) = added(Picks(tmp_path), 1)
    line = {"sample": sample.key, "prompt": "two\u2028lines", "seed": 0, "subject": SUBJECT}
    (tmp_path / LOG).write_text(json.dumps(line, ensure_ascii=False) + "\r\n", encoding="utf-8", newline="")
    assert [s.prompt for s in Picks(tmp_path).samples.values()] == ["two\u2028lines"] and Picks(tmp_path).damaged == 0


def test_threads_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """The window's writer keeps picks while its worker keeps variations; each reads the log for itself."""
    a, b = added(Picks(tmp_path), 2)

    def write() -> None:
        for _ in range(50):
            Picks(tmp_path).prefer(a.key, b.key)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Picks(tmp_path).picks) == 150 and Picks(tmp_path).damaged == 0


def test_picks_travel_and_what_is_there_is_not_doubled(tmp_path: Path) -> None:
    mine, theirs = Picks(tmp_path / "mine"), Picks(tmp_path / "theirs")
    a, b, c = added(theirs, 3)
    theirs.prefer(a.key, b.key)
    theirs.prefer(c.key, a.key)
    theirs.undo()
    theirs.score(a.key, "x", 1.0)
    added(mine, 1)
    assert mine.take_in(theirs.folder) == 1 and mine.take_in(theirs.folder) == 0
    assert mine.picks == theirs.picks and mine.samples == theirs.samples and mine.scores == theirs.scores
    assert mine.export(tmp_path / "out") == 1
    assert Picks(tmp_path / "out").picks == mine.picks and "undo" not in (tmp_path / "out" / LOG).read_text(encoding="utf-8")
    with pytest.raises(StudioError, match="no picks"):
        mine.take_in(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", ["gone", "other bytes", "no texture"])
def test_a_texture_that_is_not_what_its_name_says_is_refused(tmp_path: Path, damage: str) -> None:
    theirs = Picks(tmp_path / "theirs")
    a, b = added(theirs, 2)
    theirs.prefer(a.key, b.key)
    path = theirs.folder / f"{a.key}.safetensors"
    if damage == "gone":
        path.unlink()
        assert Picks(theirs.folder).damaged == 2 and not Picks(theirs.folder).picks
        return
    if damage == "other bytes":
        path.write_bytes(b"x" + path.read_bytes())
    else:
        import hashlib

        data = b"nothing"
        key = hashlib.sha256(data).hexdigest()
        (theirs.folder / f"{key}.safetensors").write_bytes(data)
        log = (theirs.folder / LOG).read_text(encoding="utf-8").replace(a.key, key)
        (theirs.folder / LOG).write_text(log, encoding="utf-8")
    with pytest.raises(StudioError):
        Picks(tmp_path / "mine").take_in(theirs.folder)


@pytest.mark.parametrize(
    "line",
    [
        {"sample": "../../etc/passwd", "prompt": "", "seed": 0, "subject": {}},
        {"sample": "0" * 64, "prompt": "", "seed": 0, "subject": {}},
        {"better": "0" * 64, "worse": "1" * 64, "by": "hand"},
        {"score": "x", "of": "0" * 64, "value": 1},
        {"undo": "hand"},
        {"sample": 5},
        [],
        "text",
        None,
    ],
)
def test_lines_that_make_no_sense_are_left_out(tmp_path: Path, line: object) -> None:
    (tmp_path / LOG).write_text(json.dumps(line) + "\n" + "[" * 5000 + "\n", encoding="utf-8")
    picks = Picks(tmp_path)
    assert not picks.samples and not picks.picks and picks.damaged == 2


def test_a_subject_has_its_own_place(own_home: Path) -> None:
    assert home(SUBJECT) == home(dict(reversed(SUBJECT.items()))) != home({"mesh": "n"})
    assert own_home in home(SUBJECT).parents


def test_a_score_beyond_all_numbers_is_left_out(tmp_path: Path) -> None:
    (sample,) = added(Picks(tmp_path), 1)
    with (tmp_path / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"score": "x", "of": sample.key, "value": 10**400}) + "\n")
    assert not Picks(tmp_path).scores and Picks(tmp_path).damaged == 1
