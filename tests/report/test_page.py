"""The HTML page: whole, self-contained, accessible, and safe with hostile names."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from audioinv.base.errors import UserError
from audioinv.report import write_report
from audioinv.report.collect import read_experiment
from audioinv.report.page import facts
from audioinv.report.pictures import Picture, descriptor_pictures

VOID = {"meta", "img", "br", "link", "input"}
LOADING = {"src", "href", "srcset", "poster", "data", "action"}


class Page(HTMLParser):
    """The tags, attributes and text of a page; raises if a tag is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every `tag`."""
        return [attributes for name, attributes in self.tags if name == tag]


def _read(report: Path) -> Page:
    return Page(report.read_text(encoding="utf-8"))


def _page(experiment: Path) -> Page:
    return _read(write_report(experiment))


def _decoded(picture: Picture) -> str:
    return _svg({"src": picture.uri})


def _svg(image: dict[str, str]) -> str:
    kind, _, data = image["src"].partition(";base64,")
    assert kind == "data:image/svg+xml"
    return base64.b64decode(data).decode()


def test_page_is_one_balanced_file_that_loads_nothing(report: Path) -> None:
    assert report.name == "report.html"
    page = _read(report)
    assert page.open == []
    for tag, attributes in page.tags:
        for name in LOADING & attributes.keys():
            assert attributes[name].startswith(("data:", "#")), (tag, name)
    assert {"script", "link", "iframe"}.isdisjoint(tag for tag, _ in page.tags)
    assert "url(" not in report.read_text() and "@import" not in report.read_text()


def test_every_row_task_and_method_is_there(report: Path) -> None:
    text = _read(report).text
    for expected in (
        "Made by code",
        "digit",
        "clip duration",
        "amortised, soft descriptor",
        "amortised, all invariant",
        "SimCLR",
        "log-mel statistics",
        "chance",
        "linear-v1",
        "resnet18",
        "two cores",
        "audioinv evaluate run=exp/simclr_s1",
    ):
        assert expected in text


def test_images_have_alternatives_and_headers_have_scope(report: Path) -> None:
    page = _read(report)
    # soft descriptor, its levels; on/off and matrix of two methods; loss; two spectrograms
    assert len(page.all("img")) == 9
    assert all(len(image["alt"]) > 10 for image in page.all("img"))
    assert all(header["scope"] for header in page.all("th"))
    alternatives = [image["alt"] for image in page.all("img")]
    assert any("digit: pitch shift 0.25, time shift 0.25" in text for text in alternatives)
    assert any("pitch shift +0.32" in text for text in alternatives)
    assert any("digit: level 0 0.75, level 1 0.25" in text for text in alternatives)


def test_figures_are_valid_svg_without_outside_references(report: Path) -> None:
    for image in _read(report).all("img"):
        for element in ElementTree.fromstring(_svg(image)).iter():
            for name, value in element.attrib.items():
                if name.endswith("href"):
                    assert value.startswith(("#", "data:"))


def test_audio_is_embedded_as_it_is(report: Path) -> None:
    sources = [audio["src"] for audio in _read(report).all("audio")]
    prefix = "data:audio/wav;base64,"
    assert all(source.startswith(prefix) for source in sources)
    assert [base64.b64decode(source.removeprefix(prefix)) for source in sources] == [
        (report.parent / "examples" / f"pitch_shift_{side}.wav").read_bytes()
        for side in ("before", "after")
    ]


def test_what_is_shown_says_what_it_is(report: Path) -> None:
    page = _read(report)
    told = [image["alt"] for image in page.all("img")][-2:]
    assert told == [f"Mel spectrogram of a clip {side} pitch shift" for side in ("before", "after")]
    assert page.text.count("Mind the volume.") == 1


def test_examples_of_an_older_experiment_are_embedded(experiment: Path) -> None:
    """They name one file a side, and say nothing about it."""
    path = experiment / "examples" / "examples.json"
    (entry,) = json.loads(path.read_text())
    old = {"before": entry["before"][1], "after": entry["after"][1]}
    path.write_text(json.dumps([{"augmentation": "pitch_shift", **old}]))
    page = _page(experiment)
    assert len(page.all("audio")) == 2 and len(page.all("img")) == 7


def test_a_modality_without_examples_has_no_section_of_them(experiment: Path) -> None:
    (experiment / "examples" / "examples.json").write_text("[]")
    assert "Augmentations" not in _page(experiment).text


def test_the_same_experiment_gives_the_same_bytes(experiment: Path, report: Path) -> None:
    assert write_report(experiment).read_bytes() == report.read_bytes()


def test_hostile_names_stay_text(without_figures: Path) -> None:
    experiment, name = without_figures, "<script>$\\frac{$ &amp;\"' 名前"
    for path in experiment.glob("*/tasks/digit/*/result.json"):
        value = json.loads(path.read_text())
        value.update(label=f"{value['label']} {name}", task=name, command=name)
        value.update(mode="soft", descriptor={name: 0.5})
        path.write_text(json.dumps(value))
    (experiment / "experiment.json").write_text(json.dumps({"title": name, "hardware": name}))
    page = _page(experiment)
    assert page.all("script") == []
    assert f"SimCLR {name}" in page.text
    assert len(page.all("img")) == 3
    for image in page.all("img"):
        assert name in "".join(ElementTree.fromstring(_svg(image)).itertext())


def test_absent_parts_are_told_in_one_line(without_figures: Path) -> None:
    for path in without_figures.glob("*/config.yaml"):
        path.unlink()
    (without_figures / "experiment.json").unlink()
    page = _page(without_figures)
    assert page.all("img") == []
    for expected in (
        "No descriptor has been learned",
        "No invariance has been measured",
        "No run has logged a loss",
    ):
        assert expected in page.text
    assert "Augmentations" not in page.text


def test_run_that_only_pretrained_makes_a_page(without_figures: Path) -> None:
    for path in without_figures.glob("*/tasks/*/*/result.json"):
        path.unlink()
    assert "No task has been evaluated yet" in _page(without_figures).text


def test_a_run_folder_is_an_experiment_of_one_run(without_figures: Path) -> None:
    page = _page(without_figures / "simclr_s1")
    assert "SimCLR" in page.text and "One seed" in page.text


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("simclr_s0/tasks/digit/fixed/result.json", "{"),
        ("simclr_s0/tasks/digit/fixed/result.json", "[]"),
        ("simclr_s0/tasks/digit/fixed/result.json", '{"task": "digit"}'),
        ("simclr_s0/measure.json", '{"on": {"a": "much"}}'),
        ("simclr_s0/measure.json", '{"matrix": {"rows": ["a"], "columns": [], "cosine": []}}'),
        ("simclr_s0/metrics.jsonl", 'nonsense\n{"step": 1, "loss": 1}\n'),
        ("simclr_s0/config.yaml", "a: [1"),
        ("examples/examples.json", '[{"augmentation": "fade"}]'),
        ("examples/examples.json", '[{"augmentation": "a", "before": "../b.txt", "after": "c"}]'),
        ("experiment.json", "3"),
    ],
)
def test_broken_file_is_a_user_error_that_names_it(
    experiment: Path, file: str, content: str
) -> None:
    (experiment / file).write_text(content)
    with pytest.raises(UserError, match=Path(file).name) as raised:
        write_report(experiment)
    assert "\n" not in str(raised.value)
    assert not (experiment / "report.html").exists()


def test_clip_outside_the_examples_is_refused(experiment: Path) -> None:
    clip = experiment / "examples" / "pitch_shift_before.wav"
    clip.rename(experiment / "outside.wav")
    clip.symlink_to(experiment / "outside.wav")
    with pytest.raises(UserError, match="pitch_shift_before"):
        write_report(experiment)


def test_torn_last_line_of_a_running_run_is_forgiven(without_figures: Path) -> None:
    lines = '{"step": 0, "loss": 5.0}\n{"step": 10, "loss": 4.0}\n{"step": 20, "lo'
    (without_figures / "simclr_s0" / "metrics.jsonl").write_text(lines)
    alternatives = [image["alt"] for image in _page(without_figures).all("img")]
    assert len(alternatives) == 1 and "Last logged loss: SimCLR 4" in alternatives[0]


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_what_is_no_experiment_says_what_a_run_folder_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "empty":
        path.mkdir()
    if kind == "file":
        path.write_text("")
    with pytest.raises(UserError, match="run folder"):
        write_report(path)


def test_facts_that_differ_name_their_methods(without_figures: Path) -> None:
    (without_figures / "simclr_s0" / "config.yaml").write_text("backbone: {name: resnet34}\n")
    text = _page(without_figures).text
    assert "resnet18; resnet34 (SimCLR)" in text


def test_searched_variants_are_learned_and_fixed_ones_are_not(without_figures: Path) -> None:
    modes = {"amortised": "search:validation", "simclr": "fixed:all", "logmel": "fixed"}
    for path in without_figures.glob("*/tasks/*/*/result.json"):
        value = json.loads(path.read_text())
        value.update(mode=modes[value["method"]], descriptor={"fade": 1.0})
        path.write_text(json.dumps(value))
    alternatives = [image["alt"] for image in _page(without_figures).all("img")]
    assert len(alternatives) == 1
    assert alternatives[0].startswith("Learned descriptor of amortised, all invariant")


def test_few_shot_descriptors_are_shown_once_for_all_readouts(without_figures: Path) -> None:
    """Modes that only episodes know are learnt, too; a seed counts once."""
    rows = (("validation", "corner by episodes"), ("episode", "corner by evidence"))
    for seed in (0, 1):
        for mode, label in rows:
            for readout in ("centroid", "logistic"):
                folder = without_figures / f"amortised_s{seed}" / "tasks" / "digit" / mode / readout
                folder.mkdir(parents=True)
                value = {
                    "protocol": "fewshot-v1 5-way 1-shot", "task": "digit", "method": "amortised",
                    "mode": mode, "label": f"Amortised, {label}, {readout}", "metric": "accuracy",
                    "value": 0.5, "seed": seed, "descriptor": {"fade": float(seed), "crop": 1.0},
                }  # fmt: skip
                (folder / "result.json").write_text(json.dumps(value))
    results = read_experiment(without_figures).results
    pictures = descriptor_pictures(results)
    titles = [f"Amortised, {label}, few-shot" for _, label in rows]
    assert [picture.title for picture in pictures] == titles
    assert all("digit: fade 0.50, crop 1.00" in picture.alt for picture in pictures)
    assert "±0.71" in " ".join(ElementTree.fromstring(_decoded(pictures[0])).itertext())


def test_a_method_s_own_settings_are_told(without_figures: Path) -> None:
    """As it was pre-trained, not as the common part of the configuration says."""
    for path in without_figures.glob("*_s*/config.yaml"):
        path.unlink()
    for method in ("amortised", "simclr"):
        common = {"pretrain": {"temperature": 1.0, "lr": 0.003}}
        own = {"method_pretrain": {"simclr": {"temperature": 0.5}}}
        path = without_figures / f"{method}_s0" / "config.yaml"
        path.write_text(json.dumps({**common, **own}))
    told = facts(read_experiment(without_figures))
    assert told["Temperature"] in ("1.0; 0.5 (SimCLR)", "0.5 (SimCLR); 1.0")
    assert told["Peak learning rate"] == "0.003"
