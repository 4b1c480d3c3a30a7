"""The page: whole, self-contained, accessible, safe with hostile names, and true to the index."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.search.explore import Explorer, explorer
from audioinv.search.index import Index
from audioinv.search.page import render
from tests.report.test_page import LOADING, Page

NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    told: dict[str, Any] = json.loads(found[1])
    return told


def test_it_asks_nobody_for_anything(shown: Explorer) -> None:
    text = render(shown)
    page = Page(text)
    assert not [attributes for _, attributes in page.tags if LOADING & attributes.keys()]
    assert not re.findall(r"https?://|@import|url\(|\bimport\b", text)


def test_it_can_be_used_by_all(shown: Explorer) -> None:
    page = Page(render(shown, served=True))
    assert page.all("html")[0]["lang"] == "en" and page.all("meta")[1]["name"] == "viewport"
    labelled = (
        page.text.count("Colour") + page.text.count("or by name") + page.text.count("drop it")
    )
    assert labelled == len(page.all("select")) + len(page.all("input"))
    assert [p["aria-live"] for p in page.all("p") if p.get("role") == "status"] == ["polite"]
    heads = {a["id"] for tag, a in page.tags if tag in ("h2", "h3")}
    assert {s["aria-labelledby"] for s in page.all("section")[1:]} <= heads
    assert all(button["type"] == "button" for button in page.all("button"))


def test_it_tells_what_the_index_finds(made: Index, shown: Explorer) -> None:
    data = data_of(render(shown))
    assert data["start"] == "11" and set(data["corners"]) == {"00", "01", "10", "11"}
    assert [name for name, told in data["corners"].items() if not told["trained"]] == ["00"]
    corner = made.corner(heed=["pitch_shift"])
    expected, _ = made.neighbours(corner, list(range(30)), 10)
    found = np.array(data["corners"]["01"]["near"])
    assert (found == expected).mean() > 0.95  # in 16 bits some are all but equally near
    assert dict(data["labels"])["label"] == made.pack.frame["label"].tolist()
    places = np.array(data["corners"]["01"]["map"])
    assert places.shape == (30, 2) and places.min() == 0 and places.max() == 1000


def test_what_is_heard_is_the_clip(made: Index, shown: Explorer) -> None:
    media = data_of(render(shown))["media"]
    assert len(media) == 30 and media[4]["s"] == 0.4
    sound = base64.b64decode(media[4]["sound"].removeprefix("data:audio/wav;base64,"))
    with wave.open(io.BytesIO(sound)) as file:
        assert file.getframerate() == 8000
        heard = np.frombuffer(file.readframes(9999), np.int16)
    assert np.array_equal(heard, made.pack.samples(4))
    picture = base64.b64decode(media[4]["picture"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(picture)).size[1] == 64


def test_hostile_names_are_text(made: Index) -> None:
    evil = "</script><script>alert(1)</script><!--"
    frame = made.pack.frame.assign(label=[evil, *made.pack.frame["label"][1:]])
    hostile = replace(made, pack=replace(made.pack, frame=frame.assign(id=frame["id"] + evil)))
    text = render(explorer(hostile, 30))
    assert text.count("<script") == 2 and "<!--" not in text
    assert dict(data_of(text)["labels"])["label"][0] == evil


def test_few_clips_and_a_query_that_is_among_them(made: Index) -> None:
    query = made.pack.frame["id"][29]
    few = explorer(made, 12, heed=["white_noise"], switches=["pitch_shift"], query=query)
    data = data_of(render(few, query, served=True))
    assert data["ids"][data["query"]] == query and len(data["ids"]) == 12
    assert data["start"] == "10" and list(data["corners"]) == ["10", "00"]
    assert [c["thrown"] for c in data["components"]] == [True, False] and data["media"] is None


def test_refusals(made: Index, shown: Explorer) -> None:
    with pytest.raises(UserError, match="more than 10 clips"):
        explorer(made, 10)
    with pytest.raises(UserError, match=r"did you mean pitch_shift\?"):
        explorer(made, 30, switches=["pitchshift"])
    with pytest.raises(UserError, match="no clip of"):
        explorer(made, 30, query="nowhere")


def test_from_the_shell(made: Index, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    words = ["--index", str(made.folder), "--clips", "11", "--export", str(out)]
    assert main(["explore", *words]) == 0
    assert len(data_of(out.read_text(encoding="utf-8"))["media"]) == 11


@pytest.mark.skipif(NODE is None, reason="there is no Node to run the page's script in")
def test_its_script_follows_the_switches(made: Index, shown: Explorer, tmp_path: Path) -> None:
    (page := tmp_path / "page.html").write_text(render(shown, served=True), encoding="utf-8")
    script = Path(__file__).with_name("document.js")
    done = subprocess.run([str(NODE), script, page], capture_output=True, text=True, check=True)
    first, thrown, other = json.loads(done.stdout)
    ids, labels = made.pack.frame["id"].tolist(), made.pack.frame["label"].tolist()
    assert first["near"] == [ids[row] for row in shown.near["11"][0]]
    assert thrown["near"] == [ids[row] for row in shown.near["01"][0]]
    assert (first["on"], thrown["on"]) == (["true", "true"], ["false", "true"])
    assert "if white noise makes no difference, and pitch shift does." in thrown["said"]
    counts = [sum(labels[row] == labels[0] for row in shown.near[c][0]) for c in ("11", "01")]
    assert first["alike"][0].startswith(f"label{counts[0]} of 10")
    was = f"was {counts[0]}" if counts[0] != counts[1] else ""
    assert thrown["alike"][0] == f"label{counts[1]} of 10 {was}"
    assert thrown["near"][1] in other["asked"] and thrown["near"][1] in other["focused"]
    assert other["near"] == [ids[row] for row in shown.near["01"][ids.index(thrown["near"][1])]]


def titled(tmp_path: Path, page: Path) -> Any:
    """What a page's scripts have left in its title, as JSON, at 1280 pixels."""
    assert CHROMIUM
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command = [CHROMIUM, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={tmp_path}/user"]
    given = ["--virtual-time-budget=3000", "--window-size=1280,900", "--dump-dom", page.as_uri()]
    done = subprocess.run([*command, *given], capture_output=True, text=True, timeout=120)
    title = Page(done.stdout).text.strip().splitlines()[0]
    return json.loads(title)


THROW = """<script>
const seen = () => [...document.querySelectorAll("#near .id")].map((each) => each.textContent);
const before = seen(), button = document.querySelector("[role=switch]");
button.focus();
const focused = document.activeElement === button;
button.click();
const covered = ["h1", "[role=switch]", "#asked h2, #query h2"].filter((which) => {
  const found = document.querySelector(which), box = found.getBoundingClientRect();
  return !found.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
});
const told = { before, covered, after: seen(), focused,
  said: document.getElementById("said").textContent,
  on: button.getAttribute("aria-checked"), wide: document.documentElement.scrollWidth,
  has: innerWidth };
document.title = JSON.stringify(told);
parent.postMessage(told, "*");
</script>"""
FRAME = """<!doctype html>
<iframe src="page.html" style="width:390px;height:800px;border:0"></iframe>
<script>onmessage = ({ data }) => { document.title = JSON.stringify(data); };</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_a_switch_changes_the_neighbours(
    width: int, shown: Explorer, tmp_path: Path
) -> None:
    page, frame = tmp_path / "page.html", tmp_path / "frame.html"
    page.write_text(render(shown) + THROW, encoding="utf-8")
    frame.write_text(FRAME, encoding="utf-8")
    told = titled(tmp_path, page if width == 1280 else frame)
    assert len(told["before"]) == len(told["after"]) == 10 and told["before"] != told["after"]
    assert told["on"] == "false" and told["focused"] and "pitch shift does" in told["said"]
    assert told["covered"] == []
    assert told["has"] == width and told["wide"] <= width  # nothing is cut
