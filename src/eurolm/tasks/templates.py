"""Templates in Jinja over the fields of a record, in a sandbox: what surrounds an item so that a model is asked.

Beside the record's fields a template sees `text` (of the item), `options` (lettered lines) and, in `answer`, `answer`.
Filters: `open` takes the final full stop off, so that the sentence may go on; `small` makes the first letter small;
`named` replaces codes separated by `;` by the task's `words`, the longest run of codes that has a word first and codes
without one staying as they are; what `:` separates is joined by an arrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from jinja2 import StrictUndefined, meta
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from eurolm.errors import ConfigError, InputError
from eurolm.tasks.items import Item
from eurolm.tasks.load import Task

LETTERS = ascii_uppercase


class Wording:
    """A template of a task, compiled."""

    def __init__(self, task: Task, name: str) -> None:
        """Raises ConfigError for an unknown template and for one that is not valid Jinja."""
        if name not in task.templates:
            raise ConfigError(f"task {task.name} has no template {name!r}. There are: {', '.join(task.templates)}.")
        self.template = task.templates[name]
        self._place = f"task {task.name}, template {name}"
        self._compiled: dict[str, Any] = {}
        self._named: dict[str, set[str]] = {}
        environment = _environment(task.words)
        for part in ("prompt", "answer", "unconditional"):
            source = getattr(self.template, part)
            if source is not None:
                try:
                    self._compiled[part] = environment.from_string(source)
                    self._named[part] = meta.find_undeclared_variables(environment.parse(source))
                except TemplateError as error:
                    raise ConfigError(f"{self._place}, {part}: not a Jinja template: {error}") from None

    def prompt(self, item: Item, options: Sequence[str] = ()) -> str:
        """The question, up to where the answer begins. Raises ConfigError where it ends with white space, InputError
        where a field that it names is empty."""
        lettered = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
        prompt = self._render("prompt", item, {"options": lettered})
        if not prompt or prompt != prompt.rstrip():
            raise ConfigError(
                f"{self._place}: the prompt of item {item.id!r} ends with white space. It belongs to `answer`, because "
                "tokens hold the space before a word."
            )
        return prompt

    def answer(self, item: Item, answer: str) -> str:
        """The prompt's continuation that says `answer`."""
        return self._render("answer", item, {"answer": answer})

    def unconditional(self, item: Item) -> str | None:
        """What stands before a choice that is scored without its question."""
        return self._render("unconditional", item, {}) if "unconditional" in self._compiled else None

    def _render(self, part: str, item: Item, more: Mapping[str, Any]) -> str:
        blank = [name for name in sorted(self._named[part]) if not str(item.record.get(name, "x")).strip()]
        if blank:
            raise InputError(f"{self._place}, {part}, item {item.id!r}: field {blank[0]!r} is empty.")
        try:
            return str(self._compiled[part].render({**item.record, "text": item.text, **more}))
        except TemplateError as error:
            raise ConfigError(f"{self._place}, {part}, item {item.id!r}: {error}.") from None


def fields_read(task: Task) -> list[str]:
    """Fields of a record that the task's templates name, in alphabetical order."""
    environment = _environment(task.words)
    sources = [
        source
        for template in task.templates.values()
        for source in (template.prompt, template.answer, template.unconditional)
        if source is not None
    ]
    named = {name for source in sources for name in meta.find_undeclared_variables(environment.parse(source))}
    return sorted(named - {"text", "options", "answer"})


def _environment(words: Mapping[str, str]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters |= {
        "open": lambda text: text.rstrip().removesuffix("."),
        "small": lambda text: text[:1].lower() + text[1:],
        "named": lambda codes: " → ".join(", ".join(_named(part.split(";"), words)) for part in codes.split(":")),
    }
    return environment


def _named(codes: Sequence[str], words: Mapping[str, str]) -> Iterator[str]:
    start = 0
    while start < len(codes):
        ends = range(len(codes), start, -1)
        end = next((end for end in ends if ";".join(codes[start:end]) in words), start + 1)
        run = ";".join(codes[start:end])
        yield words.get(run, run)
        start = end
