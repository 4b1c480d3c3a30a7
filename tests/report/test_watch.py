"""The page that follows a run: what it tells, where it is served, and how it looks in a browser."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from audioinv.base.errors import UserError
from audioinv.cli import main
from audioinv.report.lines import chart, smoothed
from audioinv.report.watch import WatchServer, read_run, render
from tests.report.test_page import LOADING, Page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WARNING = {"kind": "ignored", "of": ["hiss"], "text": "step 40: the encoder ignores hiss. Try <b>."}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that is on its way: 60 of 200 steps, two components, each second line all-on."""
    folder = tmp_path / "echo_s0"
    folder.mkdir()
    own = "method: mine\nmethod_pretrain: {mine: {steps: 200}, other: {steps: 7}}\n"
    (folder / "config.yaml").write_text(f"{own}pretrain: {{steps: 1000}}\n")
    metrics = [
        {"step": step, "loss": 3.0 if step % 20 else 5.0, "lr": 1e-3, "seconds": 0.5,
         "descriptor": [0, 1] if step % 20 else [1, 1]}
        for step in range(10, 61, 10)
    ]  # fmt: skip
    told = {"rank": 20.0, "alignment": 0.1, "uniformity": -2.0, "knn": 0.8}
    looks: list[dict[str, Any]] = [
        {"step": step, "corners": {"all": told, "-echo": told}, "gap": {"echo": 0.3, "hiss": 0.0},
         "clips": 64, "task": "birds", "chance": 0.1}
        for step in (20, 40)
    ]  # fmt: skip
    looks[1]["warnings"] = [WARNING]
    for name, rows in (("metrics", metrics), ("monitor", looks)):
        lines = [json.dumps(row) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join([*lines, '{"step": 7']))  # being written
    (folder / ".lock").write_text("process 1")
    return folder


def test_how_things_stand(run: Path) -> None:
    now = (run / "metrics.jsonl").stat().st_mtime + 3
    found = read_run(run, now)
    assert (found.steps, found.done, found.seconds, found.state) == (200, 60, 0.5, "running")
    text = Page(render(found)).text
    assert "Training. Step 60 of 200. About 70 s left, 0.5 s a step. Last line 3 s ago." in text
    assert read_run(run, now + 200).state == "silent"
    (run / ".lock").unlink()
    stopped = read_run(run, now)
    assert stopped.state == "stopped" and "same command goes on" in Page(render(stopped)).text


def test_a_finished_run(run: Path) -> None:
    (run / "encoder").mkdir()
    (run / "encoder/encoder.json").write_text("{}")
    assert read_run(run).state == "running"  # it trains on
    with open(run / "metrics.jsonl", "a") as file:
        file.write('\n{"step": 200, "loss": 1.0, "descriptor": [1, 1], "seconds": 0.5}\n')
    finished = read_run(run)
    assert finished.state == "finished" and "<script" not in render(finished, served=True)


def test_loss_is_apart_by_how_many_are_on(run: Path) -> None:
    page = render(read_run(run))
    assert "1 on <b>3</b>" in page and "2 on <b>5</b>" in page
    labels = [svg["aria-label"] for svg in Page(page).all("svg")]
    assert labels[0] == "Loss against steps; last: 1 on 3, 2 on 5"
    assert any("kNN accuracy against steps; last: all 0.8, without echo 0.8" in t for t in labels)


def test_warnings_are_text_and_nothing_is_asked_for(run: Path) -> None:
    text = render(read_run(run), served=False)
    assert "the encoder ignores hiss. Try &lt;b&gt;." in text
    page = Page(text)
    assert not [attributes for _, attributes in page.tags if LOADING & attributes.keys()]
    assert not re.findall(r"https?://|@import|url\(|<script", text)
    assert page.all("html")[0]["lang"] == "en"


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("pretrain: {steps: 9}")
    text = Page(render(read_run(tmp_path))).text
    assert "No step is logged yet." in text and "has not looked yet" in text


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_what_is_no_run_is_said(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="give the folder that audioinv pretrain"):
        read_run(tmp_path / name)
    assert main(["watch", str(tmp_path / name), "--port", "0"]) == 2
    assert "give the folder" in capsys.readouterr().err


def test_it_is_served_here_alone_and_stays_up_to_date(run: Path) -> None:
    def ask(path: str, host: str | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    with WatchServer(run, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        assert server.server_address[0] == "127.0.0.1"
        status, page = ask("/")
        assert status == 200 and "Step 60 of 200" in page and "setInterval" in page
        with open(run / "metrics.jsonl", "a") as file:
            file.write('\n{"step": 70, "loss": 1.0, "descriptor": [1, 1], "seconds": 0.5}\n')
        assert "Step 70 of 200" in ask("/")[1]
        assert ask("/etc/passwd")[0] == 404 and ask("/", host="evil.example")[0] == 403
        server.shutdown()
        thread.join()


def test_once_from_the_shell(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    assert main(["watch", str(run), "--once", str(out)]) == 0
    assert "Step 60 of 200" in out.read_text(encoding="utf-8")


def test_a_chart_has_round_ticks_and_its_ends() -> None:
    found = chart("Loss", "", {"a": [(0, 0.13), (50, 0.9)], "none": []})
    assert found is not None and [line.name for line in found.lines] == ["a"]
    assert [text for _, text in found.y_ticks] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    (line,) = found.lines
    assert line.points.startswith("44.0,") and line.end[0] == 352
    assert chart("Loss", "", {}) is None
    flat = chart("Loss", "", {"a": [(1, 2.0)]})
    assert flat is not None and len(flat.y_ticks) > 1
    long = chart("Loss", "", {"a": [(k, 1.0 * k) for k in range(5000)]})
    assert long is not None and long.lines[0].points.count(" ") < 300
    assert list(smoothed([(1, 1.0), (2, 3.0), (3, 5.0)], 2)) == [(1, 1.0), (2, 2.0), (3, 4.0)]


MEASURE = """<script>
document.title = JSON.stringify({ wide: document.documentElement.scrollWidth, has: innerWidth });
parent.postMessage(document.title, "*");
</script>"""
FRAME = """<!doctype html><title>{}</title>
<iframe src="page.html" style="width:390px;height:800px;border:0"></iframe>
<script>onmessage = ({ data }) => { document.title = data; };</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_nothing_is_cut(run: Path, tmp_path: Path, width: int) -> None:
    page, frame = tmp_path / "page.html", tmp_path / "frame.html"
    page.write_text(render(read_run(run)) + MEASURE, encoding="utf-8")
    frame.write_text(FRAME, encoding="utf-8")
    shown = page if width == 1280 else frame
    quiet = ["--disable-gpu", "--no-first-run", f"--user-data-dir={tmp_path}/user"]
    given = ["--virtual-time-budget=3000", "--window-size=1280,900", "--dump-dom", shown.as_uri()]
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", *quiet, *given],
        capture_output=True, text=True, timeout=120, env={**os.environ, "TZ": "UTC"},
    )  # fmt: skip
    told = json.loads(Page(done.stdout).text.strip().splitlines()[0])
    assert told["has"] == width and told["wide"] <= width
