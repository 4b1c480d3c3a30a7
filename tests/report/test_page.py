"""The HTML page: whole, self-contained, accessible, and safe with hostile names."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from audioinv.core.errors import UserError
from audioinv.report import write_report

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


def _page(experiment: Path) -> Page:
    return Page(write_report(experiment).read_text(encoding="utf-8"))


def _svg(image: dict[str, str]) -> str:
    kind, _, data = image["src"].partition(";base64,")
    assert kind == "data:image/svg+xml"
    return base64.b64decode(data).decode()


def test_page_is_one_balanced_file_that_loads_nothing(experiment: Path) -> None:
    path = write_report(experiment)
    assert path == experiment / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    for tag, attributes in page.tags:
        for name in LOADING & attributes.keys():
            assert attributes[name].startswith(("data:", "#")), (tag, name)
    assert {"script", "link", "iframe"}.isdisjoint(tag for tag, _ in page.tags)
    assert "url(" not in path.read_text() and "@import" not in path.read_text()


def test_every_row_task_and_method_is_there(experiment: Path) -> None:
    text = _page(experiment).text
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


def test_images_have_alternatives_and_headers_have_scope(experiment: Path) -> None:
    page = _page(experiment)
    # soft descriptor; on/off and matrix of two methods; loss; two spectrograms
    assert len(page.all("img")) == 8
    assert all(len(image["alt"]) > 10 for image in page.all("img"))
    assert all(header["scope"] for header in page.all("th"))
    alternatives = [image["alt"] for image in page.all("img")]
    assert any("digit: pitch shift 0.25, time shift 0.25" in text for text in alternatives)
    assert any("pitch shift +0.32" in text for text in alternatives)


def test_figures_are_valid_svg_without_outside_references(experiment: Path) -> None:
    for image in _page(experiment).all("img"):
        for element in ElementTree.fromstring(_svg(image)).iter():
            for name, value in element.attrib.items():
                if name.endswith("href"):
                    assert value.startswith(("#", "data:"))


def test_audio_is_embedded_as_it_is(experiment: Path) -> None:
    sources = [audio["src"] for audio in _page(experiment).all("audio")]
    prefix = "data:audio/wav;base64,"
    assert all(source.startswith(prefix) for source in sources)
    assert [base64.b64decode(source.removeprefix(prefix)) for source in sources] == [
        (experiment / "examples" / f"pitch_shift_{side}.wav").read_bytes()
        for side in ("before", "after")
    ]


def test_the_same_experiment_gives_the_same_bytes(experiment: Path) -> None:
    first = write_report(experiment).read_bytes()
    assert write_report(experiment).read_bytes() == first


@pytest.mark.parametrize("name", ['<script>alert("x")</script>', "$\\frac{", "&amp;'\"", "名前"])
def test_hostile_names_stay_text(experiment: Path, name: str) -> None:
    for path in experiment.glob("*/tasks/digit/*/result.json"):
        value = json.loads(path.read_text())
        value.update(label=f"{value['label']} {name}", task=name, command=name)
        value["descriptor"] = {name: 0.5} if value["descriptor"] else None
        path.write_text(json.dumps(value))
    (experiment / "experiment.json").write_text(json.dumps({"title": name, "hardware": name}))
    page = _page(experiment)
    assert page.all("script") == []
    assert f"SimCLR {name}" in page.text
    for image in page.all("img"):
        ElementTree.fromstring(_svg(image))


def test_absent_parts_are_told_in_one_line(experiment: Path) -> None:
    for run in experiment.glob("*_s*"):
        for name in ("metrics.jsonl", "measure.json", "config.yaml"):
            (run / name).unlink(missing_ok=True)
    (experiment / "examples" / "examples.json").unlink()
    (experiment / "experiment.json").unlink()
    for path in experiment.glob("*/tasks/*/soft/result.json"):
        path.unlink()
    page = _page(experiment)
    assert page.all("img") == []
    for expected in (
        "No descriptor has been learned",
        "No invariance has been measured",
        "No run has logged a loss",
        "No example clips",
    ):
        assert expected in page.text


def test_run_that_only_pretrained_makes_a_page(experiment: Path) -> None:
    for path in experiment.glob("*/tasks/*/*/result.json"):
        path.unlink()
    assert "No task has been evaluated yet" in _page(experiment).text


def test_a_run_folder_is_an_experiment_of_one_run(experiment: Path) -> None:
    page = _page(experiment / "simclr_s1")
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
        ("examples/pitch_shift_after.wav", "not audio"),
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


def test_torn_last_line_of_a_running_run_is_forgiven(experiment: Path) -> None:
    with open(experiment / "simclr_s0" / "metrics.jsonl", "a") as file:
        file.write('{"step": 1000, "lo')
    assert write_report(experiment).exists()


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_what_is_no_experiment_says_what_a_run_folder_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "empty":
        path.mkdir()
    if kind == "file":
        path.write_text("")
    with pytest.raises(UserError, match="run folder"):
        write_report(path)


def test_facts_that_differ_name_their_methods(experiment: Path) -> None:
    (experiment / "simclr_s0" / "config.yaml").write_text("backbone: {name: resnet34}\n")
    text = _page(experiment).text
    assert "resnet18 (Amortised, SimCLR); resnet34 (SimCLR)" in text


def test_searched_variants_are_learned_and_fixed_ones_are_not(experiment: Path) -> None:
    for path in experiment.glob("*/tasks/*/*/result.json"):
        value = json.loads(path.read_text())
        mode = {"soft": "search:validation", "fixed": "fixed:all"}[value["mode"]]
        path.write_text(json.dumps({**value, "mode": mode, "descriptor": {"fade": 1.0}}))
    alternatives = [image["alt"] for image in _page(experiment).all("img")]
    learned = [text for text in alternatives if text.startswith("Learned descriptor of")]
    assert len(learned) == 1 and "amortised, soft descriptor" in learned[0]
