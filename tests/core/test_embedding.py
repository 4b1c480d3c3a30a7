"""Windows become rows of features: pooled, apart, at several descriptors, by any front end."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from audioinv.base.errors import UserError
from audioinv.core.embedding import Frames, Mixed, Stretches, pooled
from tests.core.small_encoder import small_encoder, small_maps

COUNTS = (3, 1, 7, 2)


def cut_clips() -> tuple[list[Tensor], Stretches]:
    """Clips of several windows each, half a second apart."""
    clips = list(small_maps(sum(COUNTS)).split(COUNTS))
    names = [f"clip {k}" for k in range(len(COUNTS))]
    return clips, Stretches(
        names, lambda k: [(x, i / 2, i / 2 + 1) for i, x in enumerate(clips[k])]
    )


def encoder_of(sources: Any) -> Any:
    """An encoder whose front end has these sources, whatever it is given."""
    encoder = small_encoder()
    encoder.frontend.sources = lambda *given: sources
    return encoder


@pytest.mark.parametrize("pool", ["mean", "max"])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 256])
def test_a_row_is_that_of_its_clip_alone(pool: str, batch_size: int) -> None:
    clips, sources = cut_clips()
    encoder = encoder_of(sources)
    found = encoder.embed("anything", "-b", pool=pool, batch_size=batch_size)
    plain = encoder.at("-b")
    for row, clip in zip(found, clips, strict=True):
        own = plain(clip)
        expected = own.mean(0) if pool == "mean" else own.amax(0)
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=0)


def test_frames_tell_where_windows_lie() -> None:
    clips, sources = cut_clips()
    encoder = encoder_of(sources)
    frames = encoder.embed("anything", frames=True, batch_size=4, levels="all")
    assert isinstance(frames, Frames) and frames.names == ["clip 0", "clip 1", "clip 2", "clip 3"]
    assert frames.clip.tolist() == [k for k, n in enumerate(COUNTS) for _ in range(n)]
    assert frames.start_s.tolist() == [i / 2 for n in COUNTS for i in range(n)]
    assert torch.equal(frames.end_s, frames.start_s + 1)
    expected = encoder.at("all")(torch.cat(clips), "all")
    torch.testing.assert_close(frames.features, expected, atol=1e-5, rtol=0)


def test_a_mixture_stands_side_by_side_by_the_roots_of_its_weights() -> None:
    x = small_maps(5)
    encoder = small_encoder()
    mixture = Mixed(torch.tensor([[1.0, 1, 0], [0, 1, 1]]), torch.tensor([0.75, 0.25]))
    found = encoder.embed(x, mixture)
    first, second = (encoder.embed(x, each) for each in mixture.descriptors)
    expected = torch.cat([0.75**0.5 * first, 0.25**0.5 * second], 1)
    torch.testing.assert_close(found, expected)
    inner = 0.75 * first @ first.T + 0.25 * second @ second.T
    torch.testing.assert_close(found @ found.T, inner, atol=1e-4, rtol=1e-4)


def test_a_clip_is_embedded_as_the_encoder_gives_it_whatever_stands_beside_it() -> None:
    encoder, x = small_encoder().train(), small_maps(9)
    found = encoder.embed(x, {"a": 0.5, "b": 1.0, "c": 0.0}, batch_size=4)
    with torch.no_grad():
        expected = copy.deepcopy(encoder).eval()(x, torch.tensor([0.5, 1.0, 0.0]))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder.embed(x.flip(0).numpy(), torch.tensor([0.5, 1, 0])).flip(0),
                               found, atol=1e-5, rtol=0)  # fmt: skip


@pytest.mark.parametrize(
    ("x", "settings", "told"),
    [
        (small_maps(3) / 0, {}, "clip 0 .*finite"),
        (torch.zeros(3), {}, r"\(3,\)"),
        (torch.zeros(0, 1, 12, 10), {}, r"\(0, 1, 12, 10\)"),
        (torch.zeros(2, 1, 12, 3), {}, r"\(1, 12, 10\)"),
        ("a file", {}, "numbers"),
        (small_maps(3), {"hop_s": -1}, "hop_s is -1"),
        (small_maps(3), {"pool": "median"}, "mean or max"),
        (small_maps(3), {"levels": "first"}, "one of last, all"),
        (small_maps(3), {"descriptor": "-d"}, "d"),
        (small_maps(3), {"sample_rate": 8000}, "leave sample_rate out"),
    ],
)
def test_what_cannot_be_embedded_is_refused(x: Any, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        small_encoder().embed(x, **settings)


def test_no_more_than_a_batch_is_held() -> None:
    """A clip of a thousand windows is cut as it goes."""
    taken = []

    def cut(k: int) -> Any:
        for i in range(1000):
            taken.append(i)
            yield torch.zeros(1), 0.0, 0.0

    batches = Stretches(["a"], cut).batches(10)
    next(batches)
    assert len(taken) == 10


def test_clips_come_out_as_soon_as_they_are_whole() -> None:
    _, sources = cut_clips()
    seen: list[Sequence[int]] = []
    parts = ((w, w.x.flatten(1)) for w in sources.batches(4))
    for clips, _ in pooled(parts):
        seen.append(clips.tolist())
    assert seen == [[0, 1], [2], [3]] or seen == [[0], [1], [2], [3]]


def test_an_optimiser_moves_every_weight_of_a_trainable_copy() -> None:
    encoder, x = small_encoder(), small_maps(16)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    network = encoder.trainable("-b")
    torch.testing.assert_close(network.eval()(x), encoder.at("-b")(x))
    network.train()
    own = {name: p.detach().clone() for name, p in network.named_parameters()}
    assert own and all(p.requires_grad for p in network.parameters())
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):  # residual blocks begin as the identity: what is inside moves second
        optimiser.zero_grad()
        network(x).square().sum().backward()
        optimiser.step()
    still = [name for name, p in network.named_parameters() if torch.equal(p, own[name])]
    assert still == []
    assert all(torch.equal(v, before[name]) for name, v in encoder.state_dict().items())
