"""Annotations of recordings: who sounds from when to when, as the field's programs write it.

Raven selection tables: tab separated with a header, `Begin Time (s)`, `End Time (s)`, a column of
the user's, and `Begin Path` or `Begin File` where several sounds were open. `File Offset (s)` is
then the begin within the file, and `Begin Time (s)` that within all of them. A table without files
is of the sound that its own name begins with: a.Table.1.selections.txt of a.wav.

Audacity label tracks: start, end and label between tabs, no header, one .txt beside each sound.

CSV: a header with path, start, end (or duration), label, and whatever else; semicolons or tabs
between the columns, and then decimal commas, as spreadsheets of many countries write them. Or the
same columns as Parquet.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from audioinv.audio.faults import LENGTH_TOLERANCE_S
from audioinv.base.errors import UserError
from audioinv.data.preparing import current
from audioinv.data.rules import number
from audioinv.data.table import read_table, separator_of, with_point

FORMATS = ("auto", "csv", "raven", "audacity")
BEGIN, END, OFFSET = "Begin Time (s)", "End Time (s)", "File Offset (s)"
RAVEN_LABELS = ("annotation", "annotations", "label", "species", "common name", "species code")
TIMES = ("path", "start", "end", "duration", "label")
OWN = ("id", "split", "fold")  # which a manifest has anyway
SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
NUMBERS = {BEGIN, END, OFFSET, "start", "end", "duration"}


@dataclass(frozen=True)
class Annotation:
    """One row of a table, as text.

    Args:
        file, line: where it stands, the line from 1.
        sound: name of its sound, as the table gives it; "" is the one beside the table.
        start: in seconds. end: in seconds; None where the table has none.
        duration: in seconds, in the end's place; without both it is all that follows the start.
        further: other columns of a CSV.
    """

    file: Path
    line: int
    sound: str
    start: str
    end: str | None
    label: str = ""
    duration: str | None = None
    further: Mapping[str, str] = field(default_factory=dict)

    def wrong(self, message: str) -> UserError:
        """An error about this row."""
        return UserError(f"{self.file}:{self.line}: {message}")

    def span(self, length: float) -> tuple[float, float]:
        """Start and duration in seconds, in a sound that lasts `length` seconds.

        Raises:
            UserError: numbers that cannot be read, an end that is not behind the start, or one
                beyond the sound's by more than LENGTH_TOLERANCE_S.
        """
        start, end = self._seconds("start", self.start), length
        if self.duration is not None:
            end = start + self._seconds("duration", self.duration)
        elif self.end is not None:
            end = self._seconds("end", self.end)
        told = f"starts at {start:g} s and ends at {end:g} s"
        if start >= length or end > length + LENGTH_TOLERANCE_S:
            raise self.wrong(f"{told}; give times within the {length:g} s that the sound lasts")
        if end <= start:
            raise self.wrong(f"{told}; give an end behind the start, or remove the row")
        return start, min(end, length) - start

    def _seconds(self, what: str, text: str) -> float:
        value = number(text)
        if not 0 <= value < math.inf:
            raise self.wrong(f"{what} is '{text}'; give seconds, 0 or more, such as 1.5")
        return value


def read_annotations(path: Path, form: str = "auto", label: str = "") -> list[Annotation]:
    """The rows of one table.

    Args:
        form: one of `FORMATS`; "auto" tells it from the first line.
        label: the column with the labels; "" takes `label` of a CSV, if it has one, and one of
            `RAVEN_LABELS` of a Raven table, whatever their capitals.

    Raises:
        UserError: it cannot be read, is of no known form, or lacks a column.
    """
    if path.suffix.lower() == ".parquet":
        table = read_table(path).rename(columns=lambda name: _known(str(name)))
        texts = ({str(k): str(v) for k, v in row.items()} for row in table.to_dict("records"))
        return _csv(path, list(map(str, table)), list(enumerate(texts, 1)), label)
    lines = _lines(path)
    kind = _form(path, lines) if form == "auto" else form
    if kind == "audacity":
        return list(_audacity(path, lines))
    header, rows = _table(path, lines, "\t" if kind == "raven" else separator_of(lines[0]))
    if kind == "raven":
        return _raven(path, header, rows, label)
    return _csv(path, header, rows, label)


def _lines(path: Path) -> list[str]:
    if path.suffix.lower() in SPREADSHEETS:
        raise UserError(f"{path} is a spreadsheet; save it as CSV UTF-8")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if not any(line.strip() for line in lines):
        raise UserError(f"{path} is empty; give a table with rows, or remove it")
    return lines[1:] if lines[0].lower().startswith("sep=") else lines  # Excel's own line


def _form(path: Path, lines: Sequence[str]) -> str:
    fields = [text.strip() for text in lines[0].split("\t")]
    if BEGIN in fields:
        return "raven"
    separator = separator_of(lines[0])
    if "path" in [text.strip().strip('"').lower() for text in lines[0].split(separator)]:
        return "csv"
    if len(fields) > 1 and all(math.isfinite(number(with_point(text))) for text in fields[:2]):
        return "audacity"
    raise UserError(
        f"{path} is no table of annotations that is known: its first line is '{lines[0][:80]}'. A "
        f"CSV begins with path,start,end,label, a Raven table has '{BEGIN}', an Audacity track "
        "begins with two numbers; give one of these, and --format where it is not told apart"
    )


Rows = list[tuple[int, dict[str, str]]]


def _table(path: Path, lines: Sequence[str], separator: str) -> tuple[list[str], Rows]:
    """Header, and the rows that are not empty with their lines."""
    quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    reader = csv.reader((line + "\n" for line in lines), delimiter=separator, quoting=quoting)
    rows: Rows = []
    padded = 0
    try:
        header = [_known(name.strip()) for name in next(reader)]
        if twice := [name for name in dict.fromkeys(header) if name and header.count(name) > 1]:
            raise csv.Error(f"has the column {twice[0]} twice; rename one of them")
        for values in reader:
            if len(values) > len(header):
                raise csv.Error(
                    f"{len(values)} values, but {len(header)} columns in the header; put quotation "
                    "marks around a value that has a comma"
                )
            if any(value.strip() for value in values):
                texts = [value.strip() for value in values] + [""] * (len(header) - len(values))
                row = dict(zip(header, texts, strict=True))
                if separator != ",":
                    row |= {name: with_point(row[name]) for name in NUMBERS & set(row)}
                padded += sum(value != value.strip() for value in values)
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}") from error
    if padded:
        current().notes.append(f"{path}: {padded} values are read without the blanks around them")
    return header, rows


def _known(name: str) -> str:
    """The name of a column, whatever its capitals."""
    return name.lower() if name.lower() in (*TIMES, *OWN) else name


def _column(path: Path, header: Sequence[str], wanted: str, known: Sequence[str]) -> str:
    """The column of labels, "" if none is asked for and none is known."""
    if wanted:
        found = [name for name in header if name == _known(wanted)]
    else:
        found = [name for known_name in known for name in header if name.lower() == known_name]
    if wanted and not found:
        raise UserError(f"{path} has no column {wanted}; give --label one of {', '.join(header)}")
    return found[0] if found else ""


def _need(path: Path, header: Sequence[str], *names: str) -> None:
    if missing := [name for name in names if name not in header]:
        raise UserError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(header)}. Add it, or "
            "give the --format that the table has"
        )


def _raven(path: Path, header: list[str], rows: Rows, label: str) -> list[Annotation]:
    """A selection stands once for each view (waveform, spectrogram): the first counts."""
    _need(path, header, BEGIN, END)
    column = _column(path, header, label, RAVEN_LABELS)
    if not column:
        raise UserError(
            f"{path} has no column Annotation; give --label the one with the labels, of "
            f"{', '.join(header)}"
        )
    if OFFSET not in header and len({row.get("Begin File") for _, row in rows}) > 1:
        raise UserError(
            f"{path} is of several sounds, and {BEGIN} counts from the first one's start; add the "
            f"measurement {OFFSET} in Raven"
        )
    found: dict[tuple[str, ...], Annotation] = {}
    for line, row in rows:
        start, end, offset = row[BEGIN], row[END], number(row.get(OFFSET, ""))
        sound = row.get("Begin Path") or row.get("Begin File") or ""
        key = (row.get("Selection") or str(line), start, end, sound)
        length = number(end) - number(start)
        if math.isfinite(offset + length):
            start, end = repr(offset), repr(offset + length)
        found.setdefault(key, Annotation(path, line, sound, start, end, row[column]))
    return list(found.values())


def _audacity(path: Path, lines: Sequence[str]) -> Iterator[Annotation]:
    """Lines that begin with a backslash are the frequencies of the label before."""
    for line, text in enumerate(lines, 1):
        if not text.strip() or text.startswith("\\"):
            continue
        start, end, label = (value.strip() for value in [*text.split("\t", 2), "", ""][:3])
        yield Annotation(path, line, "", with_point(start), with_point(end), label)


def _csv(path: Path, header: list[str], rows: Rows, label: str) -> list[Annotation]:
    _need(path, header, "path")
    if "end" in header and "duration" in header:
        raise UserError(f"{path} has the columns end and duration; give one of them")
    column = _column(path, header, label, ("label",))
    if not column and (others := [name for name in header if name not in (*TIMES, *OWN)]):
        current().notes.append(
            f"{path} has no column label, so there are no labels; give --label one of "
            f"{', '.join(others)}"
        )
    return [
        Annotation(
            path,
            line,
            row["path"],
            row.get("start", "0"),
            row.get("end"),
            row[column] if column else "",
            row.get("duration"),
            {name: text for name, text in row.items() if name not in (*TIMES, column)},
        )
        for line, row in rows
    ]
