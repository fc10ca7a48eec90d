"""Files of public repositories, in the form they have there, become the records that eurolm carries."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping

import pytest
from tests.tasks.making import carried

from eurolm.errors import InputError
from eurolm.tasks.description import RepositorySource
from eurolm.tasks.fetch import repository_records
from eurolm.tasks.load import load_task, task_names
from eurolm.tasks.repository_files import READERS, opus

CONLL = """# newdoc id = c12
# newpar id = c12-p51
# sent_id = a-c12-p51s2
# text = Zinātnieki atzīst, ka šāds uzturs visiem nāks tikai par labu
1\tZinātnieki\tzinātnieks\tNOUN\tncmpn1\tCase=Nom\tO\tO\t_\t_
2\tatzīst\tatzīt\tVERB\tvmnipt130an\tEvident=Fh\tO\tO\t_\t_
3\t,\t,\tPUNCT\tzc\t_\tO\tO\t_\t_
4\tka\tka\tSCONJ\tcs\t_\tO\tO\t_\t_
5\tšāds\tšāds\tDET\tpd0msnn\tCase=Nom\tO\tO\t_\t_
6\tuzturs\tuzturs\tNOUN\tncmsn1\tCase=Nom\tO\tO\t_\t_
7\tvisiem\tviss\tPRON\tpg0mpdn\tCase=Dat\tO\tO\t_\t_
8\tnāks\tnākt\tVERB\tvmnifi130an\tEvident=Fh\tO\tO\t_\t_
9\ttikai\ttikai\tPART\tq\t_\tO\tO\t_\t_
10\tpar\tpar\tADP\tspsa\t_\tO\tO\t_\t_
11\tlabu\tlabs\tADJ\tafmsanp\tCase=Acc\tO\tO\t_\t_
"""
SIB = (
    'index_id\tcategory\ttext\n1095\thealth\t"Intervijā viņš teica, ka jaunā variācija rada ""ļoti lielas bažas un '
    'satraukumu, jo tai ir ļoti augsts mirstības rādītājs."""\n'
)
ESTNER_SENTENCES = [
    "Raudsepa/B-LOC talus/I-LOC sülemlesid/O mesilased/O topeltsülemis/O ./O",
    "VIIO/B-PER AITSAM/I-PER",
]
ESTNER = {
    "documents": [
        {
            "sentences": [
                {
                    "words": [
                        dict(zip(("word", "ner_1", "ner_2"), (*pair.split("/"), "O"), strict=True))
                        for pair in sentence.split()
                    ]
                }
                for sentence in ESTNER_SENTENCES
            ]
        }
    ]
}
SEEN: dict[str, dict[str, str]] = {
    "xcopa-et": {
        "data/et/test.et.jsonl": '{"premise": "Ese oli mullikilesse mässitud.", "choice1": "See oli õrn.", "choice2": '
        '"See oli väike.", "question": "cause", "label": 0, "idx": 0, "changed": false}\n'
    },
    "copa-lv": {
        "copa/post-edited/test.jsonl": '{"premise": "Birojs bija slēgts.", "choice1": "Bija brīvdienas.", "choice2": '
        '"Bija vasara.", "question": "cēlonis", "label": 0, "idx": 4}\n'
    },
    "mmlu-lv": {
        "mmlu/abstract_algebra.json": '[{"question":"Atrodiet pakāpi dotajam lauka paplašinājumam Q(sqrt(2), sqrt(3), '
        'sqrt(18)) virs Q.","choices":["0","4","2","6"],"answer":1}]'
    },
    "sib200-lv": {"data/annotated/lvs_Latn/dev.tsv": SIB},
    "fullstack-ner-lv": {"NamedEntities/data/c12-p51.conll2003": CONLL},
    "multileg-ner-lv": {
        "lv/test/133386_lv.jsonl": '{"text": "Lūgums sniegt prejudiciālu nolēmumu, ko 2012. gada 9. novembrī iesniedza '
        'Landesgericht Salzburg (Austrija) - Ulrich Lodewijk/Erik Taner", "label": [[40, 62, "DATE"], '
        '[73, 95, "ORG"], [97, 105, "LOC"], [109, 124, "PER"], [125, 135, "PER"]]}\n'
        '{"text": "(lieta C-508/12)", "label": []}\n'
    },
    "estner-v1-et": {"EstNER_v1_dev.json": json.dumps(ESTNER)},
    "cefr-et": {"Texts/Test2/A2/doc_22196735915_item.txt": ""},
    "inflection-et": {"est": "haarama\tolete haaranud\tV;ACT;PRS;PRF;POS;IND;2;PL\n"},
    "derivation-lv": {"lav.derivations.tsv": "art\tapart\tV:V\tap-\n"},
}


def archive(files: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for path, text in {**files, "README.md": "unasked"}.items():
            member = tarfile.TarInfo(f"name-abc123/{path}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def source_of(name: str) -> RepositorySource:
    source = load_task(name).source.repository
    assert source is not None
    return source


@pytest.mark.parametrize("name", sorted(SEEN))
def test_files_as_they_are_published_become_the_carried_records(name: str) -> None:
    known_by_id = {item.id: item.record for item in carried(name)[1]}
    files = SEEN[name]
    if name == "cefr-et":
        files = dict.fromkeys(files, f"{known_by_id['cefr/Test2/A2/doc_22196735915_item']['text']}\n\n")
    records = list(repository_records(source_of(name), archive(files)))
    fields = load_task(name).fields
    parts = (fields.id,) if isinstance(fields.id, str) else fields.id
    known = [record for record in records if "/".join(record[part] for part in parts) in known_by_id]
    assert known
    for record in known:
        original = known_by_id["/".join(record[part] for part in parts)]
        assert record == {key: original[key] for key in record}
        assert set(original) - set(record) <= {"ner_nested"}


def test_parallel_lines_are_joined_with_their_documents() -> None:
    known_by_id = {item.id: item.record for item in carried("ntrex-lv")[1]}
    codes = {"en": "src.eng", "lv": "ref.lav", "et": "ref.est", "lt": "ref.lit", "fi": "ref.fin", "ru": "ref.rus"}
    wanted = known_by_id["ntrex/75"]
    lines = {
        f"NTREX-128/newstest2019-{code}.txt": "x\n" * 75 + f"{wanted[language]}\ny\n"
        for language, code in codes.items()
    }
    documents = {"DOCUMENT_IDS.tsv": "bbc\n" * 75 + f"{wanted['doc']}\nrt\n"}
    records = list(repository_records(source_of("ntrex-lv"), archive(lines | documents)))
    assert len(records) == 77 and records[75] == wanted
    lines["NTREX-128/newstest2019-ref.est.txt"] = "one line\n"
    with pytest.raises(InputError, match=r"different numbers of lines: .*'et': 1"):
        list(repository_records(source_of("ntrex-lv"), archive(lines | documents)))


def test_opus_takes_the_languages_there_are() -> None:
    files = {
        "testsets/eng-lav/t.eng": b"One.\nTwo.\n",
        "testsets/eng-lav/t.lav": b"Viens.\nDivi.\n",
        "t.lav.labels": b"x",
    }
    assert list(opus(files))[1] == {"id": "opus/1", "en": "Two.", "lv": "Divi."}
    with pytest.raises(InputError, match="no two languages"):
        list(opus({"t.eng": b"One.\n"}))


@pytest.mark.parametrize(
    ("name", "files", "said"),
    [
        ("xcopa-et", {"data/et/test.et.jsonl": '{"premise": "Ese"}\n'}, "data/et/test.et.jsonl: .* KeyError 'choice1'"),
        ("xcopa-et", {"data/et/test.et.jsonl": "{half\n"}, "data/et/test.et.jsonl:1: .*another form"),
        ("mmlu-lv", {"mmlu/anatomy.json": '{"question": "?"}'}, "mmlu/anatomy.json: .*another form"),
        ("estner-v1-et", {"EstNER_v1_dev.json": "{}"}, "KeyError 'documents'"),
        ("inflection-et", {"est": "one column\n"}, "est:1: .*another form"),
        ("fullstack-ner-lv", {"NamedEntities/data/a.conll2003": "1\tx\n"}, "a.conll2003: .*IndexError"),
        ("copa-lv", {"other": ""}, "holds no file copa/post-edited"),
    ],
)
def test_files_of_another_form_are_refused(name: str, files: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        list(repository_records(source_of(name), archive(files)))


def test_a_damaged_archive_is_refused() -> None:
    with pytest.raises(InputError, match=r"archive of https://github.com/cambridgeltl/xcopa@e2e9d7f105a7 is damaged"):
        list(repository_records(source_of("xcopa-et"), archive(SEEN["xcopa-et"])[:60]))


def test_every_carried_task_names_a_reader_or_why_there_is_none() -> None:
    readers = set()
    for name in task_names():
        source = load_task(name).source
        if source.repository:
            readers.add(source.repository.convert)
        else:
            assert source.none
    assert readers == set(READERS)
