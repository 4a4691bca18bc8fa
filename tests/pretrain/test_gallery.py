"""The gallery's prompts are inside the grammar's words, and its page has a picture for each of them."""

from __future__ import annotations

import pytest
import torch

from studio.pretrain import corpus, gallery
from studio.words import Vocabulary


def test_every_prompt_is_known() -> None:
    v = Vocabulary(corpus.vocabulary())
    assert len(gallery.PROMPTS) == 24 and not any(v.sorted_out(p).unknown for p in gallery.PROMPTS)
    assert [gallery.spoken(p).caption for p in gallery.PROMPTS] == list(gallery.PROMPTS)


def test_one_caption_of_each_material_is_taught() -> None:
    assert [s.material for s in gallery.taught()] == list(corpus.MATERIALS)


def test_a_page_holds_every_picture(tmp_path) -> None:
    from PIL import Image

    red, blue = (torch.tensor(c).view(3, 1, 1).expand(3, 16, 16) for c in ([1.0, 0, 0], [0, 0, 1.0]))
    long = "red then blue and so on for longer than the picture is wide"
    path = gallery.page([long, "b", "c"], [[red, blue]] * 3, tmp_path / "page.png")
    with Image.open(path) as page:
        found = page.getcolors(1 << 16)
    count = {colour: n for n, colour in found or []}
    assert count[(255, 0, 0)] == count[(0, 0, 255)] == 3 * 256


@pytest.mark.long
def test_the_corpus_can_be_photographed(tmp_path) -> None:
    out = tmp_path / "corpus.png"
    gallery.main(["--truth", "--meshes", "vase", "--atlas", "128", "--px", "32", "--device", "cpu", "--out", str(out)])
    assert out.exists()
