"""Scores without a gradient: somebody's code runs only when confirmed, and nothing that it does costs more than a sentence."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from studio import black_box, consent
from studio.black_box import _process
from studio.errors import StudioError

PICTURES, TEXTURE = np.full((2, 8, 8, 3), 51, np.uint8), np.full((1, 16, 16, 3), 102, np.uint8)
CODE = """
import time
def score(pictures, texture):
    print("noise on the line")
    {}
"""


def written(folder: Path, body: str) -> Path:
    path = folder / "my score ü.py"
    path.write_text(CODE.format(body) if body else "x = 1", encoding="utf-8")
    consent.confirm(path, consent.digest(path.read_bytes()))
    return path


def drained(steps) -> float | str:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def asked(path: Path, seconds: float = 5.0, times: int = 1) -> list[float | str]:
    with black_box.Judge(str(path), seconds=seconds) as judge:
        return [drained(judge.ask(pictures=PICTURES, texture=TEXTURE)) for _ in range(times)]


def test_a_function_in_a_file_is_asked(tmp_path: Path) -> None:
    body = "return pictures.mean() + texture.mean() / 1000 + pictures.shape[0] * (pictures.dtype == 'uint8')"
    path = written(tmp_path, body)
    assert asked(path, times=2) == [pytest.approx(53.102)] * 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no such colour')", "raised ValueError: no such colour"),
        ("return float('nan')", "returned nan"),
        ("return 'seven'", "returned str 'seven', not a number"),
        ("return None", "returned NoneType 'None', not a number"),
        ("import os; os._exit(3)", "ended by itself, with code 3"),
        ("raise SystemExit", "raised SystemExit"),
        ("", "has no function 'score(pictures, texture)'"),
    ],
)
def test_whatever_it_does_is_a_sentence(tmp_path: Path, body: str, said: str) -> None:
    (answer,) = asked(written(tmp_path, body))
    assert isinstance(answer, str) and said in answer and "my score ü.py" in answer


def test_one_that_hangs_is_stopped_and_asked_again_later(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    body = f"import os\n    if os.path.exists({str(flag)!r}): return 1\n    open({str(flag)!r}, 'w').close(); time.sleep(60)"
    begun = time.monotonic()
    first, second = asked(written(tmp_path, body), seconds=0.5, times=2)
    assert isinstance(first, str) and "took longer than" in first and second == 1.0
    assert time.monotonic() - begun < 40


def test_one_that_hangs_before_it_is_asked_is_stopped_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "START_S", 1.0)
    path = tmp_path / "slow.py"
    path.write_text("import time; time.sleep(60)", encoding="utf-8")
    consent.confirm(path, consent.digest(path.read_bytes()))
    assert asked(path) == ["'slow.py' took longer than 1 s and was stopped."]


def test_nothing_runs_that_was_not_confirmed_here(tmp_path: Path) -> None:
    path = tmp_path / "theirs.py"
    path.write_text(CODE.format("return 1"), encoding="utf-8")
    with pytest.raises(StudioError, match="not confirmed") as refused:
        black_box.check(str(path))
    assert "studio confirm" in refused.value.remedy
    with pytest.raises(StudioError, match="has changed"):
        consent.confirm(path, "0" * 64)
    consent.confirm(path, consent.digest(path.read_bytes()))
    black_box.check(str(path))
    name = black_box.named(str(path))
    (tmp_path / "elsewhere.py").write_bytes(path.read_bytes())
    with pytest.raises(StudioError, match="not confirmed"):
        black_box.check(str(tmp_path / "elsewhere.py"))
    path.write_text(CODE.format("return 2"), encoding="utf-8")
    with pytest.raises(StudioError, match="not confirmed"):
        black_box.Judge(str(path), seconds=1)
    consent.confirm(path, consent.digest(path.read_bytes()))
    assert black_box.named(str(path)) != name
    consent.withdraw(path)
    with pytest.raises(StudioError, match="not confirmed"):
        black_box.check(str(path))


@pytest.mark.parametrize(("score", "said"), [("palete_size", "palette_size"), ("gone.py", "cannot be read")])
def test_a_score_that_is_not_there(score: str, said: str) -> None:
    with pytest.raises(StudioError, match=said):
        black_box.check(score)


def test_few_colours_in_large_areas_are_small() -> None:
    flat = np.zeros((1, 64, 64, 3), np.uint8)
    halves = flat.copy()
    halves[:, :, 32:] = 255
    noise = np.random.default_rng(0).integers(0, 255, flat.shape, dtype=np.uint8)
    sizes = [drained(black_box.Judge("palette_size", seconds=1).ask(pictures=PICTURES, texture=t)) for t in (flat, halves, noise)]
    assert sizes == sorted(sizes, reverse=True) and sizes[2] < -0.5


def test_red_on_green_is_lost_on_some_and_black_on_white_is_not() -> None:
    def contrast(a: tuple[int, ...], b: tuple[int, ...]) -> float | str:
        texture = np.zeros((1, 32, 32, 3), np.uint8)
        texture[:, :16], texture[:, 16:] = a, b
        return drained(black_box.Judge("colour_blind_contrast", seconds=1).ask(pictures=PICTURES, texture=texture))

    assert contrast((120, 120, 120), (120, 120, 120)) == pytest.approx(0, abs=1e-6)
    black_white, confused, told_apart = (
        contrast((0, 0, 0), (255, 255, 255)),
        contrast((160, 90, 40), (90, 120, 40)),
        contrast((200, 160, 0), (0, 60, 200)),
    )
    assert black_white == pytest.approx(3**0.5 / 2, rel=1e-3)
    assert confused < 0.35 * told_apart < black_white  # type: ignore[operator]


def test_the_best_quarter_is_set_against_the_worst() -> None:
    scores = {str(n): float(n) for n in range(12)}
    assert black_box.pairs(scores, gap=0.0) == [("11", "0"), ("10", "1"), ("9", "2")]
    assert black_box.pairs(scores, gap=2.2) == [("11", "0"), ("10", "1")]
    assert black_box.pairs(dict.fromkeys("abcd", 1.0), gap=0.0) == [] == black_box.pairs({"a": 1.0, "b": 2.0}, gap=0.0)


def test_a_file_is_confirmed_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.__main__ import main

    path = tmp_path / "theirs.py"
    path.write_text(CODE.format("return 1"), encoding="utf-8")
    monkeypatch.setattr("builtins.input", lambda _: "no")
    assert main(["confirm", str(path)]) == 1
    with pytest.raises(StudioError, match="not confirmed"):
        black_box.check(str(path))
    assert main(["confirm", str(path), "--yes"]) == 0
    black_box.check(str(path))
    said = capsys.readouterr().out
    assert consent.digest(path.read_bytes()) in said and "def score(pictures, texture):" in said and str(path) in said
    assert main(["confirm", str(tmp_path / "gone.py")]) == 2
