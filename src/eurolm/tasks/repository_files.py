"""From the files of a public repository to the records that eurolm's tasks read: one reader per file form.

Every reader takes `{path: bytes}` and gives records with the ids of the carried items. Raises InputError with the
file where the form is not the one it knows.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from eurolm.errors import InputError

Files = Mapping[str, bytes]
Record = dict[str, Any]
CAUSES = {"cēlonis": "cause", "sekas": "effect", "cause": "cause", "effect": "effect"}
NTREX_LANGUAGES = {"en": "src.eng", "lv": "ref.lav", "et": "ref.est", "lt": "ref.lit", "fi": "ref.fin", "ru": "ref.rus"}
OPUS_LANGUAGES = {"en": "eng", "lv": "lav", "et": "est", "lt": "lit", "fi": "fin", "ru": "rus"}


def copa(files: Files) -> Iterator[Record]:
    """COPA of VTI-Data: `post-edited/SPLIT.jsonl`, question in Latvian."""
    yield from _copa(files, "copa-lv")


def xcopa(files: Files) -> Iterator[Record]:
    """XCOPA: `data/et/SPLIT.et.jsonl`."""
    yield from _copa(files, "xcopa-et")


def _copa(files: Files, name: str) -> Iterator[Record]:
    for path, row in _json_lines(files):
        with _form(path, row):
            split = PurePosixPath(path).name.split(".")[0]
            kept = {key: row[key] for key in ("premise", "choice1", "choice2", "label")}
            yield {"id": f"{name}/{split}/{row['idx']}", "split": split, "question": CAUSES[row["question"]], **kept}


def mmlu_folder(files: Files) -> Iterator[Record]:
    """MMLU of VTI-Data: `mmlu/SUBJECT.json`, each a list of questions."""
    for path, data in sorted(files.items()):
        subject = PurePosixPath(path).stem
        with _form(path, "a list of questions"):
            for number, row in enumerate(json.loads(data)):
                kept = {key: row[key] for key in ("question", "choices", "answer")}
                yield {"id": f"mmlu-lv/{subject}/{number}", "subject": subject, **kept}


def sib200(files: Files) -> Iterator[Record]:
    """SIB-200: `LANGUAGE/SPLIT.tsv` with index_id, category and text; quotes are part of the text."""
    for path, data in sorted(files.items()):
        place = PurePosixPath(path)
        for row in csv.DictReader(io.StringIO(data.decode()), delimiter="\t", quoting=csv.QUOTE_NONE):
            with _form(path, row):
                yield {
                    "id": f"sib200/{place.parent.name}/{row['index_id']}",
                    "split": place.stem,
                    "text": row["text"],
                    "label": row["category"],
                }


def fullstack_ner(files: Files) -> Iterator[Record]:
    """FullStack: CoNLL files with the outer entity in the seventh column."""
    for path, data in sorted(files.items()):
        document, sentence, rows = "", "", list[list[str]]()
        for line in [*data.decode().splitlines(), ""]:
            if line.startswith("# newdoc id = "):
                document = line.removeprefix("# newdoc id = ")
            elif line.startswith("# sent_id = "):
                sentence = line.removeprefix("# sent_id = ")
            elif line and not line.startswith("#"):
                rows.append(line.split("\t"))
            elif not line and rows:
                with _form(path, sentence):
                    tokens, tags = [row[1] for row in rows], [row[6] for row in rows]
                yield {"id": f"fullstack-ner/{sentence}", "doc": document, "tokens": tokens, "ner": tags}
                rows = []


def multileg(files: Files) -> Iterator[Record]:
    """MultiLeg: `SPLIT/DOCUMENT_LANGUAGE.jsonl`; a document that lies in two folders is read once."""
    documents = {PurePosixPath(path).stem: (path, data) for path, data in sorted(files.items(), reverse=True)}
    for document, (path, data) in sorted(documents.items()):
        for number, (_, row) in enumerate(_json_lines({path: data})):
            with _form(path, row):
                yield {
                    "id": f"multileg/{document}/{number}",
                    "doc": document,
                    "text": row["text"],
                    "spans": row["label"],
                }


def estner(files: Files) -> Iterator[Record]:
    """EstNER: `EstNER_PART_SPLIT.json`, documents of sentences of words with up to three layers."""
    for path, data in sorted(files.items()):
        _, part, split = PurePosixPath(path).stem.split("_")
        with _form(path, "documents of sentences of words"):
            for number, document in enumerate(json.loads(data)["documents"]):
                for place, sentence in enumerate(document["sentences"]):
                    words = sentence["words"]
                    yield {
                        "id": f"estner_{part}/{split}/{number}/{place}",
                        "doc": f"{split}/{number}",
                        "tokens": [word["word"] for word in words],
                        "ner": [word["ner_1"] for word in words],
                    }


def cefr(files: Files) -> Iterator[Record]:
    """CEFR texts: `Texts/PART/LEVEL/DOCUMENT.txt`."""
    for path, data in sorted(files.items()):
        place = PurePosixPath(path)
        level, part = place.parent.name, place.parent.parent.name
        yield {"id": f"cefr/{part}/{level}/{place.stem}", "text": data.decode("utf-8-sig").strip(), "label": level}


def ntrex(files: Files) -> Iterator[Record]:
    """NTREX-128: a file of lines per language, and document ids beside them."""
    columns = {language: _lines(files, f"newstest2019-{code}.txt") for language, code in NTREX_LANGUAGES.items()}
    yield from _parallel("ntrex", {"doc": _lines(files, "DOCUMENT_IDS.tsv"), **columns})


def opus(files: Files) -> Iterator[Record]:
    """Parallel test sets of OPUS-MT: a file of lines per language, named by its ISO 639-3 code."""
    ends = {path.rpartition(".")[2]: path for path in sorted(files)}
    columns = {
        language: _lines(files, PurePosixPath(ends[code]).name)
        for language, code in OPUS_LANGUAGES.items()
        if code in ends
    }
    if len(columns) < 2:
        raise InputError(f"no two languages among {', '.join(sorted(files)) or 'no files'}: not a parallel test set.")
    yield from _parallel("opus", columns)


def unimorph_inflections(files: Files) -> Iterator[Record]:
    """UniMorph: lemma, form and features, tab-separated."""
    yield from _tabbed(files, ("lemma", "form", "feats"))


def unimorph_derivations(files: Files) -> Iterator[Record]:
    """UniMorph derivations: base, derived word, parts of speech, affix, tab-separated."""
    yield from _tabbed(files, ("base", "derived", "pos", "affix"))


READERS: dict[str, Callable[[Files], Iterator[Record]]] = {
    "cefr": cefr,
    "copa": copa,
    "estner": estner,
    "fullstack_ner": fullstack_ner,
    "mmlu_folder": mmlu_folder,
    "multileg": multileg,
    "ntrex": ntrex,
    "opus": opus,
    "sib200": sib200,
    "unimorph_derivations": unimorph_derivations,
    "unimorph_inflections": unimorph_inflections,
    "xcopa": xcopa,
}
"""Readers of repositories, by the name in `source.repository.convert`."""


def _json_lines(files: Files) -> Iterator[tuple[str, Record]]:
    for path, data in sorted(files.items()):
        for number, line in enumerate(data.decode("utf-8-sig").split("\n"), start=1):
            if line.strip():
                with _form(f"{path}:{number}", line[:80]):
                    yield path, json.loads(line)


def _tabbed(files: Files, names: tuple[str, ...]) -> Iterator[Record]:
    for path, data in sorted(files.items()):
        for number, line in enumerate(data.decode("utf-8-sig").split("\n"), start=1):
            if line.strip():
                with _form(f"{path}:{number}", line):
                    yield dict(zip(names, line.rstrip("\r").split("\t"), strict=True))


def _lines(files: Files, name: str) -> list[str]:
    found = [data for path, data in sorted(files.items()) if PurePosixPath(path).name == name]
    if not found:
        raise InputError(f"{name} is not among the files: {', '.join(sorted(files)) or 'none'}.")
    return found[0].decode("utf-8-sig").removesuffix("\n").split("\n")


def _parallel(name: str, columns: Mapping[str, list[str]]) -> Iterator[Record]:
    counts = {column: len(lines) for column, lines in columns.items()}
    if len(set(counts.values())) != 1:
        raise InputError(f"{name}: parallel files have different numbers of lines: {counts}.")
    for number, texts in enumerate(zip(*columns.values(), strict=True)):
        yield {"id": f"{name}/{number}", **dict(zip(columns, texts, strict=True))}


@contextmanager
def _form(place: str, seen: object) -> Iterator[None]:
    """Whatever goes wrong inside means that the file has another form."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        said = f"{type(error).__name__} {error} in {str(seen)[:200]!r}"
        raise InputError(f"{place}: the file has another form than eurolm knows: {said}.") from None
