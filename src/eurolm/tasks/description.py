"""The parts of a task's YAML: where items come from, which field holds what, prompts, baselines."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal[
    "minimal_pairs",
    "multiple_choice",
    "classification",
    "generation",
    "translation",
    "inflection",
    "sequence_labelling",
    "bits_per_byte",
]
Metric = Literal["pair_accuracy", "accuracy", "exact_match", "chrf", "micro_f1", "bits_per_byte"]

METRICS: dict[Kind, tuple[Metric, ...]] = {
    "minimal_pairs": ("pair_accuracy",),
    "multiple_choice": ("accuracy",),
    "classification": ("accuracy",),
    "generation": ("exact_match", "chrf"),
    "translation": ("chrf",),
    "inflection": ("exact_match",),
    "sequence_labelling": ("micro_f1",),
    "bits_per_byte": ("bits_per_byte",),
}
"""What a kind may be judged by; translation reports BLEU beside chrF."""
WITHOUT_PROMPT: tuple[Kind, ...] = ("minimal_pairs", "bits_per_byte")
"""Kinds whose items are scored as they stand."""
WRITTEN_BY_MODEL: tuple[Kind, ...] = ("generation", "translation", "inflection", "sequence_labelling")
"""Kinds whose answer the model generates."""


class Part(BaseModel):
    """Base of the parts of a task: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(Part):
    """A public source the items were made from, pinned to a commit."""

    source: str
    commit: str
    license: str


class Fields(Part):
    """Which field of an item's record holds what. A dot steps into a list or mapping: `refs.0`.

    `id` may be several fields, joined by `/`. `cluster` groups items of one document, `group` parts of a task that are
    reported by themselves. `choices` is one field with a list or several fields. With `gather` the records of one id
    are one item, whose references are those of all of them.
    """

    id: str | tuple[str, ...] = "id"
    cluster: str | None = None
    group: str | None = None
    good: str | None = None
    bad: str | None = None
    choices: str | tuple[str, ...] | None = None
    gold: str | None = None
    references: str | None = None
    text: str | None = None
    tokens: str | None = None
    tags: str | None = None
    spans: str | None = None
    gather: bool = False
    choices_vary: bool = False
    """Items may have different numbers of choices."""
    skip_blank: bool = False
    """Records whose `text` is nothing but white space are no items."""


NEEDED: dict[Kind, tuple[tuple[str, ...], ...]] = {
    "minimal_pairs": (("good", "bad"),),
    "multiple_choice": (("choices", "gold"),),
    "classification": (("text", "gold"),),
    "generation": (("references",), ("text", "references")),
    "translation": (("text", "references"),),
    "inflection": (("text", "references"),),
    "sequence_labelling": (("tokens", "tags"), ("text", "spans")),
    "bits_per_byte": (("text",),),
}
"""Fields a kind needs: all of one of the alternatives, and no others of the list below."""
BY_KIND = ("good", "bad", "choices", "gold", "references", "text", "tokens", "tags", "spans")


class StatedBaselines(Part):
    """Scores without knowing the language, as the task states them for its items; a test recomputes them.

    `uniform`: choosing at random. `majority`: always the most frequent answer. `shortest`: always the choice with
    the fewest UTF-8 bytes. `copy`: the input itself as the answer. Null where it means nothing.
    """

    uniform: float | None = Field(default=None, ge=0, le=1)
    majority: float | None = Field(default=None, ge=0, le=1)
    shortest: float | None = Field(default=None, ge=0, le=1)
    copied: float | None = Field(default=None, ge=0, le=1, alias="copy")

    @property
    def stated(self) -> dict[str, float]:
        """Those that mean something, by name."""
        return self.model_dump(by_alias=True, exclude_none=True)

    @property
    def best(self) -> float:
        """The highest: what a score must beat to say anything. 0 where there is none."""
        return max(self.stated.values(), default=0.0)


class Template(Part):
    """One way of asking, in Jinja over the fields of the record.

    Letters show the options with letters and score the letter; cloze scores the options themselves after the prompt.
    """

    formulation: Literal["letters", "cloze"] | None = None
    """Multiple choice only."""
    instruction: str = ""
    """Stands once before the examples and the question."""
    prompt: str
    """Ends where the answer begins, without white space. `options` is the lettered list of the choices."""
    answer: str = " {{ answer }}"
    """What follows the prompt; `answer` is the letter, the choice, the label's word or the reference."""
    unconditional: str | None = None
    """Context of the choices without the question, for normalisation."""


class HubSource(Part):
    """A dataset of the Hugging Face hub, read by `datasets` without running code of its own."""

    hub: str
    """Repository id."""
    config: str | None = None
    """Name of a config, or a pattern (`*_LV`) whose configs are read one after another."""
    files: str | None = None
    """Pattern of JSON lines in the repository, where it can only be read file by file (it has a loading script)."""
    split: str
    revision: str
    """Commit or branch; a branch may change what is scored, so results say the hash of the items."""
    convert: str
    """Which converter of `tasks/convert.py` makes records of its rows."""
    schema_checked: bool
    """Whether the converter's fields are those of the dataset's card or of a published loader of it. Either way rows of
    another form stop with an error that names what is missing; they are never guessed."""


class RepositorySource(Part):
    """Files of a public Git repository at a commit, fetched as one archive."""

    repository: str
    """`https://github.com/OWNER/NAME`."""
    commit: str
    files: tuple[str, ...] = Field(min_length=1)
    """Shell patterns of paths inside it."""
    convert: str
    schema_checked: bool


class Source(Part):
    """The full public source of a task's items; exactly one of the two, or the reason why there is none."""

    hub: HubSource | None = None
    repository: RepositorySource | None = None
    none: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Source:
        if sum(part is not None for part in (self.hub, self.repository, self.none)) != 1:
            raise ValueError("give one of hub, repository, none")
        return self
