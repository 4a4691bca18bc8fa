"""Learning from preferences: what is known of its objectives, and what it owes every run."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from studio import consent, preferences
from studio.config import parse
from studio.errors import StudioError
from studio.film import checkpoint_bytes, checkpoint_from
from studio.preferences import Picks
from studio.progress import Progress
from studio.run import run
from studio.trainers import _pairs
from studio.trainers._preferring import Errors, Guard, auto_beta, loss, spread
from tests.meshes import uv_sphere
from tests.runs import BALL, QUICK

# -- known truths -------------------------------------------------------------------------------------------------------------

METHODS = ("dpo", "dro", "dro_published", "sft")


def errors(better: float = 0.3, worse: float = 0.5, reference: tuple[float, float] = (0.3, 0.5)) -> tuple[Errors, list]:
    leaves = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (better, worse)]
    return Errors(*leaves, *(torch.tensor(v, dtype=torch.float64) for v in reference)), leaves


@pytest.mark.parametrize("beta", [0.1, 5.0, 2000.0])
def test_dpo_is_ln_2_while_nothing_was_learned(beta: float) -> None:
    given, _ = errors()
    assert loss(given, "dpo", beta=beta, margin=0).item() == pytest.approx(math.log(2), abs=1e-12)
    assert loss(given, "dro", beta=0, margin=0.7).item() == pytest.approx(0.7)


@pytest.mark.parametrize("method", METHODS)
def test_the_better_is_learned_and_the_worse_unlearned(method: Any) -> None:
    given, leaves = errors()
    slopes = torch.autograd.grad(loss(given, method, beta=3.0, margin=0.1), leaves, allow_unused=True)
    assert float(slopes[0]) > 0
    assert slopes[1] is None if method == "sft" else float(slopes[1]) < 0
    assert float(slopes[0]) == pytest.approx(0.75 if method == "dpo" else 1.0)


def test_dro_leaves_the_worse_alone_once_it_is_far_enough() -> None:
    given, leaves = errors(worse=0.75)
    slopes = torch.autograd.grad(loss(given, "dro", beta=0, margin=0.2), leaves)
    assert [float(s) for s in slopes] == [1, 0]


def test_a_gain_is_the_picked_order() -> None:
    assert errors(better=0.2)[0].gain.item() == pytest.approx(0.1) and errors(worse=0.4)[0].gain.item() == pytest.approx(-0.1)


def test_beta_scales_with_how_much_pairs_differ() -> None:
    better, worse = torch.tensor([0.1, 0.5, 0.2]), torch.tensor([0.3, 0.1, 0.6])
    assert auto_beta(spread(better - worse)) == pytest.approx(2 / float((better - worse).std()))
    assert auto_beta(spread(10 * (better - worse))) == pytest.approx(auto_beta(spread(better - worse)) / 10)


def denoised(method: Any, *, steps: int = 300, rate: float = 0.05) -> tuple[list[float], list[float], int | None]:
    """A linear denoiser of two points in the plane, 1 for what is better: (e_w, e_l) over the steps, and when the guard rang."""
    torch.manual_seed(0)
    better, worse = torch.tensor([1.0, 1.0]), torch.tensor([-1.0, 1.0])
    weight, bias = torch.eye(2).requires_grad_(), torch.zeros(2).requires_grad_()
    adam = torch.optim.Adam([weight, bias], lr=rate)
    guard, rung, seen = Guard(), None, ([], [])

    def error(x0: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return ((x0 + noise) @ weight.T + bias - x0).square().mean()

    for n in range(steps):
        noise = 0.5 * torch.randn(64, 2)
        e = [error(x, noise) for x in (better, worse)]
        frozen = [noise.square().mean()] * 2
        loss(Errors(*e, *frozen), method, beta=4.0, margin=0.5).backward()
        adam.step()
        adam.zero_grad()
        for values, value in zip(seen, e, strict=True):
            values.append(float(value.detach()))
        if guard.ran_away((seen[1][-1] - float(frozen[1])) / 0.5, {"w": weight.detach().clone()}) and rung is None:
            rung = n
    return *seen, rung


def test_the_published_dro_has_no_lowest_value_and_is_stopped() -> None:
    _, worse, rung = denoised("dro_published")
    assert worse[-1] > 20 > worse[0] and worse[-1] > worse[200] > worse[100]
    assert rung is not None and rung < 150 and worse[rung] < 8


def test_the_anchored_dro_comes_to_rest() -> None:
    better, worse, _ = denoised("dro", steps=400)
    assert max(worse) < 2.5 and better[-1] < better[0]
    assert sum(worse[-50:]) / 50 == pytest.approx(sum(worse[-150:-100]) / 50, abs=0.1)


def test_a_guard_keeps_what_was_learned_while_all_was_well() -> None:
    guard = Guard()
    for n, excess in enumerate((0.0, 1.0, 2.0, 14.0, 30.0)):
        assert guard.ran_away(excess, {"n": torch.tensor(n)}) is (n == 4)
    assert int(guard.lora["n"]) == 2, "at the fourth the mean was beyond what is healthy"
    again = Guard()
    again.restore(guard.state())
    assert again.state() == guard.state() and again.ran_away(float("nan"), {})


# -- runs ---------------------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.usefixtures("small_pictures")

SMALL = {
    **QUICK,
    "prompt": "red",
    "iterations": 4,
    "judge_every": 0,
    "trainer": {
        "name": "preference",
        "look_every": 2,
        "gap": 0,
        "samples": 20,
        "score": "colour_blind_contrast",
        "rate": 0.01,
        "batch": 1,
    },
    "rewards": {"palette": 1.0},
}


def ran(folder: Path, **changes: Any) -> tuple[list[Progress], list[dict[str, Any]]]:
    """(all that was told, the checkpoints)"""
    base = parse({"trainer": {"picks": str(folder)}}, base=parse(SMALL))
    seen, checkpoints = [], []
    for p in run(parse(changes, base=base), BALL):
        seen.append(p)
        checkpoints += [p.checkpoint()] if p.checkpoint is not None else []
    return seen, checkpoints


def learned(seen: list[Progress]) -> list[dict[str, float]]:
    return [dict(p.metrics) for p in seen if p.checkpoint is not None]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress], list[dict[str, Any]]]:
    """A folder of picks by a score, and the run that made them and learned from them."""
    folder = tmp_path_factory.mktemp("scored") / "picks"
    return folder, *ran(folder, trainer={"ema": 0.5})


@pytest.fixture
def folder(scored: tuple[Path, list[Progress], list[dict[str, Any]]]) -> Path:
    """With picks that fit."""
    return scored[0]


def test_a_score_prefers_the_picks_are_kept_and_a_run_continues_to_the_same_numbers(
    scored: tuple[Path, list[Progress], list[dict[str, Any]]],
) -> None:
    folder, seen, checkpoints = scored
    result = seen[-1].result
    assert result is not None
    told = result.report["preferences"]
    assert (told["pairs"], told["held_out_pairs"], told["stopped"]) == (4, 1, "")
    assert [n for n, _ in told["accuracy"]] == [2, 4] and all(b > 0 for b in told["beta"])
    assert all(0 <= p["drift"] and p["gradient"] > 0 for p in learned(seen)) and learned(seen)[-1]["drift"] > 0
    assert learned(seen)[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert ["accuracy" in m for m in learned(seen)] == [False, True] * 2 and "palette" in learned(seen)[1]
    assert any("learns from preferences" in p.message for p in seen)
    picks = Picks(folder)
    assert len(picks.samples) == 20 and len(picks.by("colour_blind_contrast")) == 5 and picks.damaged == 0

    config = parse({"trainer": {"picks": str(folder), "ema": 0.5}}, base=parse(SMALL))
    rest = list(run(config, BALL, resume=checkpoint_from(checkpoint_bytes(checkpoints[1]))))
    assert learned(rest) == learned(seen)[2:]
    assert not [p for p in rest if p.stage == "gathering"], "what was painted and scored is kept"
    assert rest[-1].result is not None and rest[-1].result.report["preferences"] == told


def sided(folder: Path, count: int = 6) -> Picks:
    """Pairs of noise, as the tiny generator would have painted it: the better one is brighter on the left of every view."""
    source = torch.Generator().manual_seed(0)
    one = next(iter(Picks(folder).samples.values()))
    like, picks = Picks(folder).x0(one.key).float(), Picks(folder.parent / "sides")
    side = torch.linspace(1, -1, like.shape[-1]).expand_as(like)
    for n in range(count):
        pair = [0.5 * torch.randn(like.shape, generator=source) + sign * 0.5 * side for sign in (1, -1)]
        facts = {"pictures": torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "prompt": one.prompt, "subject": one.subject}
        picks.prefer(*(picks.add(x0=x0, seed=n, **facts).key for x0 in pair))
    return picks


def test_places_are_learned_and_one_pass_of_noise_stands_for_all_pairs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the first step the network is asked of nothing but what sampling begins with, once for all pairs; on seeds that no pair
    is from, the left has become brighter than the right."""
    asked: dict[int, list[float]] = {}

    class Watched(_pairs.Pass):
        def __init__(self, painter: Any, scene: Any, x: torch.Tensor, i: int, **how: Any) -> None:
            asked.setdefault(i, []).append(float(x.double().sum()))
            super().__init__(painter, scene, x, i, **how)

    picks = sided(folder)
    monkeypatch.setattr(_pairs, "Pass", Watched)
    seen, _ = ran(picks.folder, iterations=40, trainer={"score": "", "rate": 0.02, "look_every": 60})
    views = [p.pictures.mean((0, 1, 2)) for p in seen if p.pictures is not None]
    before, after = (float(v[: len(v) // 2].mean() - v[len(v) // 2 :].mean()) for v in (views[0], views[-1]))
    assert after > before + 0.004
    assert all(asked[0].count(x) <= 2 for x in asked[0]), "the frozen network and the one that learns, and no texture's own"


def test_a_single_pick_of_the_first_prompt_is_learned_beside_those_of_another(folder: Path, tmp_path: Path) -> None:
    """How much pairs differ is known from all of them: one alone has no spread."""
    scored, picks = Picks(folder), Picks(tmp_path / "two")
    for n, pick in enumerate(scored.picks):
        said = "red" if n == 0 else "blue"
        keys = [
            picks.add(
                x0=scored.x0(key), pictures=scored.pictures(key) + n, prompt=said, seed=2 * n, subject=scored.samples[key].subject
            ).key
            for key in (pick.better, pick.worse)
        ]
        picks.prefer(*keys)
    seen, _ = ran(picks.folder, iterations=6, trainer={"score": ""})
    assert all(math.isfinite(m["loss"]) and math.isfinite(m["gradient"]) for m in learned(seen)) and len(learned(seen)) == 6
    assert seen[-1].result is not None and all(map(math.isfinite, seen[-1].result.report["preferences"]["beta"]))


@pytest.mark.parametrize("method", ["dro", "sft", "dro_published"])
def test_every_method_learns(folder: Path, method: str) -> None:
    seen, _ = ran(folder, iterations=2, trainer={"method": method})
    assert len(learned(seen)) == 2 and learned(seen)[-1]["drift"] > 0


def test_a_gradient_that_is_no_number_ends_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pairs, "loss", lambda errors, method, **settings: errors.better * float("nan"))
    with pytest.raises(StudioError, match="The gradient turns into nan. Lower the rate"):
        ran(folder, iterations=2)


def test_what_runs_away_is_stopped_and_taken_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny generator cannot run far; so the guard is told to be timid."""
    monkeypatch.setattr(Guard, "LIMIT", 0.01)
    monkeypatch.setattr(Guard, "HEALTHY", 0.0)
    seen, checkpoints = ran(folder, iterations=20, trainer={"method": "dro_published", "rate": 0.1})
    result = seen[-1].result
    assert result is not None and len(checkpoints) < 20 and "ran away" in result.report["preferences"]["stopped"]
    kept = checkpoints[-1]["trainer"]["guard"]["lora"]
    assert all(torch.equal(result.lora[name], t) for name, t in kept.items())


def test_a_score_that_fails_costs_a_sentence_and_what_was_painted_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "score.py"

    def write(body: str) -> None:
        path.write_text(f"n = []\ndef score(pictures, texture):\n    n.append(0)\n    {body}\n", encoding="utf-8")
        consent.confirm(path, consent.digest(path.read_bytes()))

    trainer = {"score": str(path), "samples": 17}
    write("return 'good'")
    with pytest.raises(StudioError, match="3 textures in a row could not be scored: 'score.py' returned str 'good'") as stopped:
        ran(tmp_path / "picks", iterations=1, trainer=trainer)
    assert "is kept" in stopped.value.remedy and len(Picks(tmp_path / "picks").samples) == 3
    write("return float('nan') if len(n) == 5 else texture.mean()")
    seen, _ = ran(tmp_path / "picks", iterations=1, trainer=trainer)
    assert [p.message for p in seen if "left out" in p.message] == ["Texture 5 is left out: 'score.py' returned nan."]
    (scores,) = Picks(tmp_path / "picks").scores.values()
    assert len(scores) == 16 and len(learned(seen)) == 1
    path.write_text(path.read_text(encoding="utf-8") + "#", encoding="utf-8")
    with pytest.raises(StudioError, match="not confirmed"):
        ran(tmp_path / "picks", trainer=trainer)


def test_your_own_picks_count_alone_where_there_are_some(folder: Path, tmp_path: Path) -> None:
    picks = Picks(shutil.copytree(folder, tmp_path / "both"))
    best, *others = list(picks.samples)[:5]
    for other in others:
        picks.prefer(best, other)
    seen, _ = ran(tmp_path / "both", iterations=0, trainer={"score": ""})
    assert seen[-1].result is not None
    told = seen[-1].result.report["preferences"]
    assert (told["pairs"], told["held_out_pairs"]) == (4, 0) and len(picks.picks) == 9


def test_rewards_with_other_knobs_are_another_score(tmp_path: Path) -> None:
    for colours in (["#ff0000"], ["#0000ff"], ["#ff0000"]):
        with pytest.raises(StudioError, match="There is 1 pick to learn from .* Let the score see 16 textures or more"):
            ran(tmp_path, trainer={"score": "rewards", "samples": 4}, rewards={"palette": {"colors": colours}})
    red, blue = Picks(tmp_path).scores.values()
    assert red.keys() == blue.keys() and all(red[key] != blue[key] for key in red)


def test_picks_of_another_mesh_and_too_few_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="There are 0 picks .* 5 were made for another mesh"):
        for _ in run(parse({"trainer": {"picks": str(folder), "score": ""}}, base=parse(SMALL)), uv_sphere(12, 6)):
            pass
    with pytest.raises(StudioError, match="Make at least 4"):
        ran(tmp_path / "none", trainer={"score": ""})


def test_without_a_folder_picks_have_a_place_of_their_own_and_a_loaded_lora_is_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Picks that were made without the LoRA still fit a run that stacks on it."""
    monkeypatch.setenv("PATINA_HOME", str(tmp_path / "home"))  # where nobody else has picks
    from studio import lora
    from studio.generators import SOCKET

    painter = SOCKET.make("tiny", steps=2).build(device=torch.device("cpu"))
    painter.add_lora(rank=2)
    for p in painter.lora_parameters():
        p.data += 0.05
    file = tmp_path / "own.safetensors"
    file.write_bytes(lora.encoded(painter.lora_state(), {}))
    ran(Path(""), trainer={"name": "variations", "picks": "", "count": 5})
    (folder,) = preferences.all_homes().iterdir()
    best, *others = Picks(folder).samples
    for other in others:
        Picks(folder).prefer(best, other)
    seen, _ = ran(Path(""), iterations=1, trainer={"picks": "", "score": ""}, loras={"own": str(file)})
    assert learned(seen)[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("method", ["dpo", "dro"])
def test_a_hidden_taste_is_learned(tmp_path: Path, method: str) -> None:
    """Who likes red sees more red in textures that nobody has picked."""
    path = tmp_path / "red.py"
    path.write_text(
        "def score(pictures, texture):\n    return texture[..., 0].mean() - texture[..., 2].mean()\n", encoding="utf-8"
    )
    consent.confirm(path, consent.digest(path.read_bytes()))
    trainer = {"method": method, "score": str(path), "samples": 160, "batch": 2, "rate": 0.005, "look_every": 50}
    before, after = [], []
    seen, _ = ran(tmp_path / "picks", iterations=150, held_out=4, trainer=trainer)
    result = seen[-1].result
    assert result is not None
    for found, textures in ((before, result.before), (after, result.after)):
        for one in textures:
            colour = one.channels["base_color"].mean((0, 2, 3))
            found.append(float(colour[0] - colour[2]))
    print(method, before, after, result.report["preferences"])
    assert sum(after) > sum(before)
