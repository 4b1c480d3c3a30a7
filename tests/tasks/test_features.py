"""Features of clips from those of their windows, and averaged over augmented views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded
from audioinv.core.backbone import Backbone
from audioinv.core.descriptor import DescriptorSpace
from audioinv.core.encoder import AmortisedEncoder
from audioinv.tasks.features import FeatureCache, embed, first_windows, maps_of, pool_windows
from audioinv.tasks.storage import Storage
from tests.core.plain_frontend import PlainFrontend

SIZE = (1, 12, 10)
SPACE = DescriptorSpace.single(["a", "b"])
OWNER = torch.tensor([0, 0, 0, 1, 2, 2])


def make(conditioning: str = "hyper") -> AmortisedEncoder:
    options = {"layers": [1, 1, 1, 1], "stem_type": "deep", "stem_width": 4}
    backbone = {"name": "resnet18", "width": 0.125, "dim": 5, "options": options}
    with seeded(0, "encoder"):
        return AmortisedEncoder(PlainFrontend(SIZE), backbone, {"name": conditioning}, SPACE).eval()


def maps(n: int = 6, name: str = "maps") -> Tensor:
    return torch.randn(n, 1, 12, 10, generator=generator(0, name))


@contextmanager
def count_of_clips() -> Iterator[list[int]]:
    """How many maps each call of a backbone sees."""
    seen: list[int] = []
    hook = nn.modules.module.register_module_forward_pre_hook(
        lambda module, x: seen.append(len(x[0])) if isinstance(module, Backbone) else None
    )
    with hook:
        yield seen


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_windows_are_pooled_clip_by_clip(pool: str) -> None:
    features = torch.randn(6, 4, generator=generator(0, "features")) - 3
    rows = [[features[k] for k in range(6) if OWNER[k] == clip] for clip in range(3)]
    naive = [sum(r) / len(r) if pool == "mean" else torch.stack(r).amax(0) for r in rows]  # type: ignore[arg-type]
    pooled = pool_windows(features, OWNER, pool)
    torch.testing.assert_close(pooled, torch.stack(naive))  # type: ignore[arg-type]
    assert float(pooled.max()) < 0, "nothing but the features themselves is pooled"


def test_a_window_a_clip_is_left_alone() -> None:
    features = torch.randn(4, 2, generator=generator(0, "features"))
    assert torch.equal(pool_windows(features, torch.arange(4), "max"), features)
    assert pool_windows(features[:0], torch.arange(0)).shape == (0, 2)


def test_unknown_pooling_is_refused() -> None:
    with pytest.raises(UserError, match=r"features\.pool.*'median'.*mean.*max"):
        pool_windows(torch.zeros(2, 2), torch.arange(2), "median")


def test_first_windows() -> None:
    assert first_windows(OWNER).tolist() == [0, 3, 4]


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_the_cache_pools_the_windows_of_the_plain_encoder(pool: str) -> None:
    encoder, x = make(), maps()
    cache = FeatureCache(encoder, x, owner=OWNER, pool=pool)
    for descriptor in (SPACE.all_on(), SPACE.parse("a")):
        alone = encoder.at(descriptor)(x)
        torch.testing.assert_close(cache.windows(descriptor), alone)
        torch.testing.assert_close(cache(descriptor), pool_windows(alone, OWNER, pool))


def test_every_descriptor_is_computed_once_and_a_plain_encoder_only_once() -> None:
    for conditioning, expected in (("hyper", 2), ("none", 1)):
        cache, seen = FeatureCache(make(conditioning), maps()), count_of_clips()
        with seen as counts:
            for descriptor in (SPACE.all_on(), SPACE.parse("a"), SPACE.all_on()):
                cache(descriptor)
        assert counts == [6] * expected


@pytest.mark.parametrize("known", [False, True])
def test_some_clips_are_those_of_all_in_the_order_asked_for(known: bool) -> None:
    """With the windows of the others left out, unless all are known already."""
    encoder, clips = make(), torch.tensor([2, 0, 2])
    cache = FeatureCache(encoder, maps(), owner=OWNER)
    expected = FeatureCache(encoder, maps(), owner=OWNER)(SPACE.parse("a"))[clips]
    if known:
        cache(SPACE.parse("a"))
    with count_of_clips() as seen:
        for _ in range(2):
            torch.testing.assert_close(cache.some(SPACE.parse("a"), clips), expected)
    assert seen == ([] if known else [5]), "clips 0 and 2 have 3 + 2 windows, run once"


def test_views_are_averaged_over_draws() -> None:
    encoder, asked = make(), []

    def views(descriptor: Tensor) -> Iterator[tuple[Tensor, ...]]:
        asked.append(descriptor.tolist())
        for draw in range(3):
            yield maps(name=f"draw {draw}").split(4)

    cache = FeatureCache(encoder, maps(), owner=OWNER, views=views)
    descriptor = SPACE.parse("b")
    each = [encoder.at(descriptor)(maps(name=f"draw {draw}")) for draw in range(3)]
    torch.testing.assert_close(cache.windows(descriptor), (each[0] + each[1] + each[2]) / 3)
    torch.testing.assert_close(cache(descriptor), pool_windows(sum(each) / 3, OWNER))  # type: ignore[arg-type]
    assert asked == [descriptor.tolist()], "drawn once, under the descriptor in use"


def test_a_curve_over_views_ends_at_their_mean() -> None:
    encoder = make()

    def views(descriptor: Tensor) -> Iterator[list[Tensor]]:
        return ([maps(name=f"draw {k}")] for k in range(3))

    cache = FeatureCache(encoder, maps(), owner=OWNER, views=views)
    curve = cache.curve(torch.ones(2), [1, 3])
    torch.testing.assert_close(curve[3], cache(torch.ones(2)))
    one = FeatureCache(encoder, maps(name="draw 0"), owner=OWNER)
    torch.testing.assert_close(curve[1], one(torch.ones(2)))
    with pytest.raises(UserError, match=r"features\.views.*0"):
        one.curve(torch.ones(2), [1])


def test_views_of_a_plain_encoder_still_depend_on_the_descriptor() -> None:
    """Its weights do not, but what acts on the clips does."""
    encoder = make("none")
    cache = FeatureCache(encoder, maps(), views=lambda d: [[maps() * d.sum()], [maps()]])
    assert not torch.equal(cache(SPACE.all_on()), cache(SPACE.parse("a")))


def test_batches_change_nothing() -> None:
    encoder, x = make(), maps(7)
    network = encoder.at(SPACE.all_on()).backbone
    for size in (1, 3, 256):
        torch.testing.assert_close(embed(network, x, batch_size=size), network(x))
        assert torch.equal(maps_of(encoder, x, size), x)
    assert embed(network, x, "all").shape[1] > 5


@pytest.mark.parametrize("pool", ["mean", "max"])
@pytest.mark.parametrize("gb", [0.0, 4.0])
def test_several_corners_come_from_one_pass_and_may_lie_in_files(pool: str, gb: float) -> None:
    """A clip's windows may fall into two batches."""
    encoder, x = make(), maps()
    passes: list[Any] = []

    class Streamed:
        n = 3

        def __call__(self, rows: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
            passes.append(None if rows is None else rows.tolist())
            for part in torch.arange(6).split(4):
                part = part if rows is None else part[torch.isin(OWNER[part], rows)]
                yield x[part], OWNER[part]

    storage = Storage(gb)
    cache = FeatureCache(encoder, Streamed(), pool=pool, storage=storage)
    corners = [SPACE.all_on(), SPACE.parse("a"), SPACE.parse("b")]
    cache.prepare(corners, torch.tensor([2, 1]))
    assert passes == [[1, 2]]
    cache.prepare(corners)
    assert passes == [[1, 2], [0]]
    for corner in corners:
        expected = FeatureCache(encoder, x, owner=OWNER, pool=pool)(corner)
        torch.testing.assert_close(cache(corner), expected)
    assert len(passes) == 2 and bool(storage.mapped) == (gb == 0)
    assert torch.equal(cache.owner, OWNER)


def test_first_maps_are_those_of_the_first_windows_in_the_order_asked_for() -> None:
    cache = FeatureCache(make(), maps(), owner=OWNER, storage=Storage(0))
    assert torch.equal(cache.first_maps(torch.tensor([2, 0])), maps()[[4, 0]])
    assert torch.equal(cache.first_maps(torch.arange(3)), maps()[[0, 3, 4]])


def test_half_precision_is_near() -> None:
    encoder, x = make(), maps()
    whole = FeatureCache(encoder, x)(SPACE.all_on())
    half = FeatureCache(encoder, x, precision="bf16-mixed")(SPACE.all_on())
    assert half.dtype == torch.float32 and not torch.equal(half, whole)
    torch.testing.assert_close(half, whole, atol=0.05, rtol=0.05)
