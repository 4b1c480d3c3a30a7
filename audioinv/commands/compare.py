"""audioinv compare: an encoder, and others beside it, on the tasks of several packs."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audioinv.base.errors import UserError

if TYPE_CHECKING:
    from audioinv.data.pack import Pack
    from audioinv.tasks.comparing import Cell, Plan
    from audioinv.tasks.contenders import Contender

HELP = "an encoder and its rivals on the tasks of several packs, in one table"
ABOUT = (
    "Judges an encoder beside a random one, its plain spectrum and other people's networks, all by "
    "the same labels, folds, readout and tuning, and writes OUT/table.md, .csv and .html. Each "
    "takes the pack at its own sample rate: give the packs of a corpus at all of them. Results "
    "that are there stay, so that the same command goes on where it stopped. Example: audioinv "
    "compare --encoder exp/mine/amortised_s0/encoder --packs packs/esc10_8000 packs/esc10_16000 "
    "--out exp/compared"
)
RIVALS = ["random", "spectrum", "resemblyzer", "pesto"]


def add_arguments(command: argparse.ArgumentParser) -> None:
    """An encoder, packs, and what is compared by what."""
    add = command.add_argument
    add("--encoder", required=True, metavar="DIR", help="folder of an encoder, or OWNER/NAME")
    add("--packs", nargs="*", default=[], type=Path, metavar="DIR", help="of any corpora")
    add("--out", required=True, type=Path, metavar="DIR", help="folder of results and table")
    add(
        "--rivals", nargs="*", default=RIVALS, metavar="NAME",
        help="random, spectrum, resemblyzer, pesto, or a class of yours, PACKAGE.MODULE:CLASS "
        f"(default: {' '.join(RIVALS)})",
    )  # fmt: skip
    add(
        "--tasks", nargs="*", metavar="CORPUS:TASK",
        help="to judge by (default: of each pack all tasks of classes)",
    )  # fmt: skip
    add(
        "--labels", nargs="+", type=int, default=[10, 0], metavar="N",
        help="of a class, half for training and half for choosing, a table each; 0: all "
        "(default: 10 0)",
    )  # fmt: skip
    add("--draws", type=int, default=5, help="of the labels, where not all (default 5)")
    add(
        "--levels", nargs="+", default=["last", "depth"], metavar="LEVEL",
        help="last: of the last layer; depth: tasks choose among all (default: last depth)",
    )  # fmt: skip
    add(
        "--modes", nargs="+", default=["fixed:all", "soft"], metavar="MODE",
        help="by which tasks learn the encoder's descriptor (default: fixed:all soft)",
    )  # fmt: skip
    add("--readout", default="ridge", help="ridge, logistic or lda (default ridge)")
    add("--label", help="name of the encoder's rows (default: that of its method)")
    add("--published", type=Path, help="CSV of published figures, shown apart")
    add("--results", type=Path, help="also put the tables into this Markdown file")
    add("--made_by", help="the command that made this, to print below the tables")
    add("--sizes", action="store_true", help="print the sizes of packs that are needed, and end")


def run(options: argparse.Namespace) -> None:
    """Makes what is not there yet, and prints the tables."""
    from audioinv.data.hub import encoder_folder
    from audioinv.data.modality import load_encoder
    from audioinv.tasks.comparing import Plan
    from audioinv.tasks.contenders import contenders
    from audioinv.tasks.settings.adapt import AdaptConfig

    plan = Plan(
        tuple(options.labels),
        options.draws,
        tuple(options.levels),
        AdaptConfig(readout=options.readout),
    )
    folder = encoder_folder(options.encoder)
    encoder = load_encoder(folder).requires_grad_(False)
    found = contenders(
        encoder, options.rivals, method_of(folder), options.label or "", options.modes
    )
    if options.sizes:
        print(*sorted({each.size for each in found}))
        return
    packs = by_corpus(options.packs)
    check_sizes(found, packs)
    Comparison(folder, plan, options.out).make(found, packs, options.tasks)
    print(write_tables(options, [options.out / name for name in packs]))


def method_of(encoder: Path) -> str:
    """The method that an encoder tells."""
    from audioinv.base.files import read_json

    info = read_json(encoder / "encoder.json").get("info") or {}
    return str(info.get("method", "amortised"))


def by_corpus(folders: Sequence[Path]) -> dict[str, dict[int, Pack]]:
    """Corpus -> size -> pack.

    Raises:
        UserError: no packs, or two of one corpus and size.
    """
    from audioinv.data.pack import open_pack

    found: dict[str, dict[int, Pack]] = {}
    for folder in folders:
        pack = open_pack(folder)
        of_corpus = found.setdefault(pack.corpus.name, {})
        if pack.size in of_corpus:
            raise UserError(f"{folder} is a second pack of {pack.corpus.name} at {pack.size}")
        of_corpus[pack.size] = pack
    if not found:
        raise UserError("no packs to judge on; give --packs DIR ...")
    return found


def check_sizes(found: Sequence[Contender], packs: dict[str, dict[int, Pack]]) -> None:
    """Raises a UserError if one finds no pack of its size."""
    for corpus, of_corpus in packs.items():
        lacking = sorted({each.size for each in found} - set(of_corpus))
        if lacking:
            raise UserError(
                f"{corpus} is packed at {', '.join(map(str, of_corpus))}, and "
                f"{', '.join(map(str, lacking))} is wanted too: pack it so by audioinv pack, and "
                "add it to --packs; --sizes lists what is wanted"
            )


class Comparison:
    """The results of a comparison, OUT/CORPUS/ROW/tasks/TASK/MODE/linear/result.json.

    Args:
        encoder: folder. plan: what is compared. out: folder.
    """

    def __init__(self, encoder: Path, plan: Plan, out: Path) -> None:
        from audioinv.base.files import ENCODER_FILES, key_of

        self.key = key_of(encoder, ENCODER_FILES)
        self.plan = plan
        self.out = out

    def make(
        self,
        found: Sequence[Contender],
        packs: dict[str, dict[int, Pack]],
        tasks: Sequence[str] | None,
    ) -> None:
        """Every result that is not there.

        Raises:
            UserError: no such task, or a result there of another encoder or other settings.
        """
        from audioinv.base.progress import shown
        from audioinv.tasks.comparing import Seen, tasks_of

        named = by_name(tasks, packs)
        chosen = {corpus: tasks_of(packs[corpus], names) for corpus, names in named.items()}
        for corpus, of_tasks in chosen.items():
            for each in found:
                seen = Seen(each, packs[corpus][each.size], self.plan)
                for cell in shown(seen.cells(of_tasks), f"{corpus}, {each.method}", "results"):
                    self.one(cell, seen.pack)

    def one(self, cell: Cell, pack: Pack) -> None:
        """One result, unless it is there."""
        from audioinv.base.versions import versions
        from audioinv.commands.evaluate import write
        from audioinv.report.names import row_name
        from audioinv.runs.folder import command_line

        folder, settings = self.folder(cell, pack), self.settings(cell, pack)
        if is_there(folder / "result.json", settings):
            return
        made, own = cell.make(), cell.contender
        named = own.title or own.method
        write(
            folder,
            replace(
                made,
                method=own.method,
                named=named,
                encoder=self.key,
                settings=settings,
                label=", ".join(filter(None, [row_name(named), made.detail])),
                command=command_line(),
                versions=versions(),
            ),
        )

    def folder(self, cell: Cell, pack: Pack) -> Path:
        """Where a result lies, in a folder a contender, level, number of labels and draw."""
        from audioinv.runs.folder import task_folder

        labels = f"{cell.labels or 'all'}_labels"
        row = re.sub(r"[^\w.-]", "_", cell.contender.method)
        run = self.out / pack.corpus.name / f"{row}_{cell.level}_{labels}_s{cell.seed}"
        return task_folder(run, cell.task.name, cell.mode) / "linear"

    def settings(self, cell: Cell, pack: Pack) -> dict[str, Any]:
        """All that decides a result beside its folder."""
        adapt = {f"adapt.{key}": value for key, value in vars(self.plan.adapt).items()}
        features = {f"features.{key}": value for key, value in vars(self.plan.features).items()}
        for key in ("adapt.modes", "adapt.labels_per_class", "features.memory_gb"):
            (adapt if key in adapt else features).pop(key)
        own = {} if cell.contender.other else {"encoder": self.key}
        return {**own, "pack": pack.content_key, "title": cell.contender.title, **adapt, **features}


def by_name(
    tasks: Sequence[str] | None, packs: dict[str, dict[int, Pack]]
) -> dict[str, list[str] | None]:
    """Corpus -> the names of its tasks in texts CORPUS:TASK; without any, None for every corpus.

    Raises:
        UserError: another text, or a corpus without a pack.
    """
    if not tasks:
        return dict.fromkeys(packs)
    named: dict[str, list[str] | None] = {}
    for text in tasks:
        corpus, colon, task = text.partition(":")
        if not colon or corpus not in packs:
            raise UserError(f"--tasks has '{text}'; give CORPUS:TASK, of {', '.join(packs)}")
        named[corpus] = [*(named.get(corpus) or []), task]
    return named


def is_there(path: Path, settings: dict[str, Any]) -> bool:
    """Whether the result was made before, with these settings.

    Raises:
        UserError: it was, with others.
    """
    from audioinv.base.files import read_json
    from audioinv.commands.judging import differing
    from audioinv.tasks.result import Result

    if not path.exists():
        return False
    known = Result.from_json(read_json(path), path).settings
    if told := differing(known, settings):
        raise UserError(
            f"{path} was made with other settings ({told}); give the same, or another --out"
        )
    return True


def write_tables(options: argparse.Namespace, folders: Sequence[Path]) -> str:
    """Writes OUT/table.md, .csv and .html; returns the Markdown.

    Raises:
        UserError: a file of theirs is damaged, or cannot be written.
    """
    from audioinv.base.files import atomic_path, write_text
    from audioinv.report.collect import Experiment
    from audioinv.report.compare import join, published, tidy
    from audioinv.report.compared import sheets_of_comparison
    from audioinv.report.markdown import code
    from audioinv.report.page import render
    from audioinv.report.sheets import published_sheets
    from audioinv.report.tables import write_results
    from audioinv.runs.folder import command_line, hardware

    joined = join([folder for folder in folders if folder.is_dir()])
    sheets = sheets_of_comparison(joined.results)
    if options.published:
        sheets += published_sheets(joined.results, published(options.published))
    about = {
        "title": "Encoders compared",
        "hardware": hardware(),
        "command": options.made_by or command_line(),
    }
    made = f"Hardware: {about['hardware']}. Command: {code(about['command'])}"
    text = "\n".join([*(sheet.markdown() for sheet in sheets), made]) + "\n"
    write_text(options.out / "table.md", text)
    write_text(options.out / "table.html", render(Experiment(options.out, (), (), about), sheets))
    with atomic_path(options.out / "table.csv") as temporary:
        tidy(joined.results).to_csv(temporary, index=False)
    if options.results:
        write_results(options.results, text)
    return text
