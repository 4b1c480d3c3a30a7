"""Each judge gets what it asks for: by its own code where that is installed, and by its interface.

The kits are not among our dependencies: pip install mteb xares hearvalidator. Without one its test
is skipped; what its documents ask for is tested all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

import audioinv as ai
from audioinv.audio.judges import evar, hear, mteb, xares
from audioinv.base.errors import UserError
from audioinv.base.randomness import generator, seeded

RATE = 16000
SPACE = ai.DescriptorSpace({"pitch": ["pitch_shift"], "noise": ["white_noise"]}, min_active=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an encoder that nothing has trained, of windows of half a second."""
    front = ai.modality("audio").frontend("log_mel", sample_rate=RATE, clip_s=0.5, n_bins=24)
    with seeded(0, "encoder"):
        network = ai.backbone("resnet10t", (1, 24, 16), width=0.125, dim=8)
        encoder = ai.Encoder(front, network, "norm", SPACE)
    x, _ = tones(32)
    encoder.frontend.fit_statistics([x])
    encoder.calibrate([x])
    where = tmp_path_factory.mktemp("judged") / "encoder"
    encoder.save(where)
    return where


def tones(n: int, seconds: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    """Sounds (n, T) and their labels (n,): low tones and high ones, in noise."""
    y = torch.arange(n) % 2
    time = torch.arange(round(seconds * RATE)) / RATE
    noise = 0.02 * torch.randn(n, len(time), generator=generator(n, "noise"))
    return 0.3 * torch.sin(2 * torch.pi * 300 * (1 + 3 * y[:, None]) * time) + noise, y


def test_hear_gives_what_the_encoder_embeds(folder: Path) -> None:
    encoder, (x, _) = ai.load_encoder(folder), tones(3, 1.3)
    for model, descriptor in (
        (hear.load_model(str(folder)), "all"),
        (hear.load_model(f"{folder}#-pitch"), "-pitch"),
        (hear.load_model(f"{folder}#-pitch", "noise"), "noise"),
    ):
        found = hear.get_scene_embeddings(x, model)
        torch.testing.assert_close(found, encoder.embed(x, descriptor))
        assert model.sample_rate == RATE and model.scene_embedding_size == found.shape[1]
    features, times = hear.get_timestamp_embeddings(x, model)
    assert features.shape == (3, 27, model.timestamp_embedding_size)
    assert torch.allclose(times, 50.0 * torch.arange(27).expand(3, -1))
    middle = x[:, round(0.6 * RATE) - RATE // 4 :][:, : RATE // 2]  # around 600 ms
    torch.testing.assert_close(features[:, 12], encoder.at("noise")(middle).detach())


def test_hear_by_its_own_validator(folder: Path) -> None:
    pytest.importorskip("tensorflow", reason="hear-validator imports it")
    validate = pytest.importorskip("hearvalidator.validate")
    validate.ValidateModel("audioinv.audio.judges.hear", f"{folder}#-pitch", "cpu")()


def test_a_judge_without_labels_takes_no_auto(folder: Path) -> None:
    for make in (lambda: hear.load_model(f"{folder}#auto"), lambda: xares_encoder(folder, "auto")):
        with pytest.raises(UserError, match=r"shows an encoder no labels.*-pitch_shift"):
            make()
    with pytest.raises(UserError, match="HEAR needs an encoder"):
        hear.load_model()
    with pytest.raises(UserError, match="unknown component luck"):
        hear.load_model(f"{folder}#-luck")


def xares_encoder(folder: Path, descriptor: Any = "-pitch") -> xares.AudioinvEncoder:
    return xares.AudioinvEncoder(folder, descriptor, hop_s=0.1)


def test_xares_gives_frames(folder: Path) -> None:
    model, (x, _) = xares_encoder(folder), tones(2, 1.0)
    frames = model(x)
    assert frames.shape == (2, 11, model.output_dim)
    assert model.sampling_rate == RATE and model.hop_size_in_ms == 100
    middle = x[:, RATE // 4 : 3 * RATE // 4]
    expected = ai.load_encoder(folder).at("-pitch")(middle).detach()
    torch.testing.assert_close(frames[:, 5], expected)
    torch.testing.assert_close(model(x[0]), frames[:1])


def test_xares_by_its_own_checker(folder: Path) -> None:
    checker = pytest.importorskip("xares.audio_encoder_checker")
    assert checker.check_audio_encoder(xares_encoder(folder))


def test_a_learnt_task_is_a_descriptor_too(folder: Path) -> None:
    x, y = tones(20)
    task = ai.adapt(folder, x, y)
    model = xares_encoder(folder, task)
    assert model.output_dim == len(task.mixture.weights) * 8
    torch.testing.assert_close(model.embed(x[:3]), task.embed(x[:3]))


def by_hand(folder: Path, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Features at the corner that these clips ask for."""
    learnt = ai.adapt(folder, x, y, mode="search").descriptor
    found = ai.load_encoder(folder).embed(x, SPACE.from_dict(learnt))
    assert isinstance(found, torch.Tensor)
    return found


def test_evar_learns_from_the_loader(folder: Path) -> None:
    config: dict[str, Any] = {"weight_file": str(folder), "sample_rate": RATE, "hop_s": 0.25}
    x, y = tones(24)
    plain = evar.AR_Audioinv(config)
    torch.testing.assert_close(plain(x), ai.load_encoder(folder).embed(x, "all"))
    plain.precompute("cpu", iter(()))  # nothing to learn, and nothing is read
    assert plain.encode_frames(x).shape == (24, 8, 3)
    model = evar.AR_Audioinv({**config, "descriptor": "auto"})
    loader = [(x[:16], y[:16]), (x[16:], y[16:])]
    model.precompute("cpu", loader)
    torch.testing.assert_close(model(x), by_hand(folder, x, y))
    with pytest.raises(UserError, match="sample_rate is 8000 and the encoder's is 16000 Hz"):
        evar.AR_Audioinv({**config, "sample_rate": 8000})


class Clips:
    """As a data set of MTEB's: rows by number, and names of columns."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, rate: int = RATE) -> None:
        self.x, self.y, self.rate = x, y.tolist(), rate
        self.column_names = ["audio", "label"]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> dict[str, Any]:
        audio = {"array": self.x[row].numpy(), "sampling_rate": self.rate}
        return {"audio": audio, "label": self.y[row]}


def encode(model: mteb.MtebEncoder, clips: Clips, split: str, *own: str) -> torch.Tensor:
    """As MTEB calls it, for a task of the name and the splits that are tested on."""
    name, *tested = own
    loader: Any = DataLoader(clips, 5, collate_fn=lambda b: {k: [e[k] for e in b] for k in b[0]})
    task = SimpleNamespace(name=name, eval_splits=tested)
    return model.encode(loader, task_metadata=task, hf_split=split, hf_subset="default")


def test_mteb_learns_from_clips_to_train_on_and_no_others(folder: Path) -> None:
    x, y = tones(24)
    everything = ai.load_encoder(folder).embed(x)
    model = mteb.MtebEncoder(folder, "auto")
    torch.testing.assert_close(encode(model, Clips(x, y), "train", "a", "train"), everything)
    learnt = encode(model, Clips(x, y), "train", "b", "test")
    torch.testing.assert_close(learnt, by_hand(folder, x, y))
    torch.testing.assert_close(encode(model, Clips(x, y), "test", "b", "test"), learnt)
    torch.testing.assert_close(encode(model, Clips(x, y), "test", "c", "test"), everything)
    plain = mteb.MtebEncoder(folder, "-pitch")
    expected = ai.load_encoder(folder).embed(x, "-pitch", sample_rate=8000)
    torch.testing.assert_close(encode(plain, Clips(x, y, 8000), "train", "b", "test"), expected)


def test_mteb_compares_by_cosine(folder: Path) -> None:
    model, x = mteb.MtebEncoder(folder), torch.randn(4, 8, generator=generator(0, "x"))
    both = model.similarity(x, x.numpy())
    expected = np.corrcoef(np.concatenate([x, -x], 1))  # centred, so that it is the cosine
    assert np.allclose(both, expected, atol=1e-6)
    assert torch.allclose(model.similarity_pairwise(x, -x), -torch.ones(4))


@pytest.mark.slow
def test_mteb_by_its_own_evaluation(
    folder: Path, shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    """Ten digits of Free Spoken Digit, three speakers: a score above chance."""
    kit = pytest.importorskip("mteb")
    task = local_task(shared_data("fsdd") / "recordings")
    model = mteb.MtebEncoder(folder, "auto", name="audioinv/untrained")
    cache = kit.ResultCache(tmp_path)
    found = kit.evaluate(model, task, cache=cache, co2_tracker=False, show_progress_bar=False)
    score = found.task_results[0].get_score()
    print(f"accuracy {score:.3f} at {SPACE.label(model.descriptor)}")
    assert found.model_name == "audioinv/untrained" and score > 0.2
    assert isinstance(model.descriptor, torch.Tensor)


def local_task(recordings: Path) -> Any:
    """A task of MTEB's own class, of files here."""
    from datasets import Dataset, DatasetDict
    from mteb.abstasks.classification import AbsTaskClassification
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.mocks.mock_tasks.classification import general_args

    def rows(takes: range) -> Any:
        files = [recordings / f"{d}_jackson_{take}.wav" for d in range(10) for take in takes]
        sounds = [soundfile.read(file, dtype="float32") for file in files]
        audio = [{"array": x.tolist(), "sampling_rate": rate} for x, rate in sounds]
        return Dataset.from_dict({"audio": audio, "label": [int(f.name[0]) for f in files]})

    class Digits(AbsTaskClassification):
        metadata = TaskMetadata(
            **{**general_args, "modalities": ["audio"]},
            type="AudioClassification",
            name="LocalDigits",
            main_score="accuracy",
        )
        input_column_name = "audio"

        def load_data(self, **_: Any) -> None:
            self.dataset = DatasetDict({"train": rows(range(5, 13)), "test": rows(range(3))})
            self.data_loaded = True

    return Digits()
