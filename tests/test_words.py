"""Prompts taken apart: what they want, what they refuse, and which words are known; and the words that ship."""

from __future__ import annotations

import pytest

from studio import config
from studio.errors import StudioError
from studio.generators import SOCKET
from studio.generators._words import DATA
from studio.pretrain import gallery
from studio.words import Vocabulary, parted, told


@pytest.mark.parametrize(
    ("prompt", "wanted", "refused"),
    [
        ("red stripes", "red stripes", ""),
        ("copper, no rust", "copper", "rust"),
        ("bricks without moss, worn, no green dirt", "bricks , worn", "moss green dirt"),
        ("No rust", "", "rust"),
        ("nothing noble", "nothing noble", ""),
        ("", "", ""),
    ],
)
def test_a_prompt_is_parted_into_what_it_wants_and_refuses(prompt: str, wanted: str, refused: str) -> None:
    found = parted(prompt)
    words = Vocabulary([]).split
    assert words(found[0]) == words(wanted) and words(found[1]) == words(refused)


def test_a_missing_vocabulary_is_one_sentence(tmp_path) -> None:
    with pytest.raises(StudioError, match="missing"):
        Vocabulary.read(tmp_path / "vocabulary.txt")


def test_refused_words_are_words_too_and_have_room_of_their_own() -> None:
    v = Vocabulary(["red", "rust", "gold"])
    found = told(v, "red red, no rust qq", negative="gold", length=2)
    assert found.known == ("red", "rust", "gold") and [w for w, _ in found.unknown] == ["qq"] and not found.unread
    assert told(v, "red red red, no rust", length=2).unread == ("red",)


def test_the_shipped_words_are_the_file_and_the_network_has_a_token_for_each() -> None:
    import torch

    listed = (DATA / "vocabulary.txt").read_text(encoding="utf-8").split()
    painter = SOCKET.make("mini").build(device=torch.device("cpu"))
    assert list(painter.vocabulary.words) == listed and len(set(listed)) == len(listed)
    assert painter.network.text.token.num_embeddings == len(listed) + 1
    for prompt in ("a red and white striped vase", "gold, no rust on the qq", "red " * 20):
        assert SOCKET.make("mini").words(prompt) == painter.words(prompt)
    assert SOCKET.make("mini", negative="qq").words("red").unknown == painter.words("red, no qq").unknown


def test_a_suggestion_is_what_was_meant_or_none() -> None:
    """A word that only looks alike says something else: no "grass" for "glass", no "violet" for "velvet"."""
    known = SOCKET.make("mini")
    meant = {"glass": "shiny", "dull": "matte", "marbel": "marble", "strips": "stripes", "brikcs": "bricks"}
    assert dict(known.words(" ".join(meant)).unknown) == meant
    assert set(dict(known.words("velvet holy banana").unknown).values()) == {None}


def shown() -> list[str]:
    """The prompts of the presets, and of the gallery's picture."""
    prompts = [config.preset(name).get("prompt", "") for name in config.preset_names()]
    return [prompt for prompt in (*prompts, *gallery.PROMPTS) if prompt]


def test_what_presets_and_the_gallery_ask_for_is_known_to_the_shipped_words() -> None:
    generator = SOCKET.make("mini")
    assert len(shown()) >= 24
    for prompt in shown():
        found = generator.words(prompt)
        assert found is not None and not found.unknown and not found.unread, prompt
