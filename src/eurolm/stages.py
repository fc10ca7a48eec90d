"""The six stages one by one: what each is made from, where it lies, and how to make it.

Data artifacts (corpus, tokenizer, tokens, packs) go to the store under their fingerprint; training, evaluation and
report grow inside the run and note in its ledger what they were made from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eurolm import __version__
from eurolm.artifacts import store
from eurolm.artifacts.hashing import sha256_json
from eurolm.artifacts.ledger import events, record
from eurolm.artifacts.manifest import Manifest, damaged_files, describe_files, hash_of, missing_files, read_manifest
from eurolm.artifacts.paths import Workspace, link
from eurolm.artifacts.store import Recipe, input_identity
from eurolm.config.model import Config
from eurolm.console import Reporter
from eurolm.errors import ConfigError, InputError
from eurolm.machine.host import versions

if TYPE_CHECKING:
    from eurolm.corpus.documents import LeftOut

TOKENIZER_FILES = ("*token*.json", "vocab.*", "merges.txt", "*.model", "chat_template*")
"""What makes a Hugging Face tokenizer directory, whose neighbours may be gigabytes of weights."""


@dataclass(frozen=True)
class Artifact:
    """Something finished: where it is and the hash of what is in it."""

    path: Path
    content: str


@dataclass
class Run:
    """One `eurolm run`: its config, its place, what is finished so far."""

    config: Config
    config_path: Path
    reporter: Reporter
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    worked: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        """Directory with `runs/` and `store/`."""
        return Workspace(self.config.run.workspace.resolve())

    @property
    def directory(self) -> Path:
        """`runs/<name>`."""
        return self.workspace.run(self.config.name)

    def contents(self, *stages: str) -> dict[str, str]:
        """Content hashes of finished upstream stages; stages that the config leaves out are left out here."""
        return {stage: self.artifacts[stage].content for stage in stages if stage in self.artifacts}

    def path(self, stage: str) -> Path | None:
        """Place of a finished stage, or null where the config leaves it out."""
        return self.artifacts[stage].path if stage in self.artifacts else None


def has_corpus(config: Config) -> bool:
    """False for a run that starts from token shards and has no text of its own."""
    return bool(config.corpus.sources or config.corpus.use)


def corpus(run: Run, may_build: bool) -> Artifact | None:
    """Clean documents and held-out text."""
    section = run.config.corpus
    if not has_corpus(run.config):
        return None
    if section.use is not None:
        return _used(run, "corpus", section.use, needs="documents")
    from eurolm.corpus import stage, surveys

    base = run.config_path.parent
    inputs = [input_identity(path) for path in stage.input_files(section, base)]
    upstream = {"measured": surveys.fingerprint(section, base)}
    recipe = Recipe("corpus", stage.RECIPE, section.output_fields(), upstream, versions(stage.LIBRARIES), inputs)
    measured_in = run.workspace.artifacts("measured")
    return _stored(
        run, recipe, may_build, lambda out: stage.build_corpus(section, base, out, run.reporter, measured_in)
    )


def tokenizer(run: Run, may_build: bool) -> Artifact | None:
    """Vocabulary."""
    section = run.config.tokenizer
    if section.use is not None:
        from eurolm.tokenizer.load import load

        used = _used(run, "tokenizer", section.use, needs=None)
        load(used.path)
        return used
    text = run.path("corpus")
    if text is None:
        raise InputError("a run without corpus.sources cannot train a tokenizer: set tokenizer.use=DIR.")
    from eurolm.tokenizer import stage

    inputs = [input_identity(path) for path in stage.input_files(section)]
    recipe = Recipe(
        "tokenizer", stage.RECIPE, section.output_fields(), run.contents("corpus"), versions(stage.LIBRARIES), inputs
    )

    def make(out: Path) -> None:
        stage.build_tokenizer(section, text, out, run.reporter, _counts(run, text))

    return _stored(run, recipe, may_build, make)


def _counts(run: Run, text: Path) -> Path:
    """Counts of pre-tokens, an artifact of their own: another vocabulary or weighting counts nothing again."""
    from eurolm.tokenizer import counts

    section = run.config.tokenizer
    upstream, libraries = run.contents("corpus"), versions(counts.LIBRARIES)
    recipe = Recipe("counts", counts.RECIPE, counts.counts_fields(section), upstream, libraries, [])
    place = run.workspace.artifact("counts", recipe.fingerprint)
    if store.finished(place) is None:
        store.build(place, recipe, __version__, lambda out: counts.build_counts(section, text, out, run.reporter))
    return place


def tokens(run: Run, may_build: bool) -> Artifact | None:
    """Token shards of the corpus, or foreign ones described."""
    section = run.config.tokens
    from eurolm.corpus.documents import left_out
    from eurolm.corpus.forget import Forgotten
    from eurolm.tokens import stage

    vocabulary = run.artifacts["tokenizer"].path
    upstream = run.contents("tokenizer") if section.use else run.contents("corpus", "tokenizer")
    inputs = stage.input_files(section) if section.use else []
    forgotten = Forgotten.load(run.config.corpus.forget)
    recipe = Recipe(
        "tokens",
        stage.RECIPE,
        section.output_fields() | ({"forget": forgotten.identity()} if forgotten else {}),
        upstream,
        versions(stage.LIBRARIES),
        [input_identity(path) for path in inputs],
    )
    text = run.path("corpus")
    if section.use is None and text is None:
        raise InputError("a run without corpus.sources has nothing to encode: set tokens.use=DIR.")

    def make(out: Path) -> None:
        if text is not None and forgotten:
            _tell_left_out(left_out(text, forgotten), run.reporter)
        choice = stage.build_tokens(section, text, vocabulary, out, run.reporter, run.config.corpus.forget)
        if choice is not None:
            record(run.directory, "encoder", **asdict(choice))

    return _stored(run, recipe, may_build, make)


def _tell_left_out(found: LeftOut, reporter: Reporter) -> None:
    reporter.say(f"  corpus.forget leaves out {found.documents:,} training and {found.heldout:,} held-out documents")
    if found.unmatched:
        reporter.warn(
            f"corpus.forget: {len(found.unmatched):,} entries match no document of this corpus, "
            f"the first is {found.unmatched[0]}"
        )


def packs(run: Run, may_build: bool) -> Artifact | None:
    """Pack indexes of the shards, one per row length; part of the tokens stage, stored apart so that a new row
    length never touches the shards."""
    from eurolm.tokens import packing

    mixture, shards, vocabulary = run.config.mixture, run.artifacts["tokens"].path, run.artifacts["tokenizer"].path
    fields = {
        "seed": mixture.seed,
        "packing": mixture.packing,
        "row_tokens": sorted({phase.row_tokens for phase in mixture.phases}),
    }
    kept_in = run.workspace.artifacts("packed")
    recipe = Recipe("packs", packing.RECIPE, fields, run.contents("tokens", "tokenizer"), {}, [])
    return _stored(
        run, recipe, may_build, lambda out: packing.build_packs(mixture, shards, vocabulary, out, run.reporter, kept_in)
    )


def fingerprint_of(stage: str, recipe: int, fields: dict[str, Any], upstream: dict[str, str]) -> str:
    """Fingerprint of a stage that grows inside the run."""
    return sha256_json({"stage": stage, "recipe": recipe, "config": fields, "upstream": upstream})[:16]


def _stored(run: Run, recipe: Recipe, may_build: bool, make: Callable[[Path], None]) -> Artifact:
    place = run.workspace.artifact(recipe.stage, recipe.fingerprint)
    manifest = store.finished(place)
    if manifest is None:
        if not may_build:
            raise InputError(
                f"{recipe.stage} is not finished for this config, and --from or --only starts after it. "
                f"Run without them, or with --until {recipe.stage} first."
            )
        run.worked.append(recipe.stage)
        manifest = store.build(place, recipe, __version__, make)
    return _noted(run, recipe.stage, Artifact(place, manifest.content), manifest.fingerprint)


def _used(run: Run, stage: str, place: Path, needs: str | None) -> Artifact:
    """An artifact from elsewhere, verified by its own manifest or hashed here."""
    if not place.is_dir():
        raise InputError(f"{stage}.use = {place} is not a directory.")
    if needs and not (place / needs).is_dir():
        raise InputError(f"{stage}.use = {place} has no {needs}/ directory: it is not a finished {stage}.")
    if (place / "manifest.json").is_file():
        content = _verified(run, stage, place).content
    else:
        content = hash_of(describe_files(place, TOKENIZER_FILES))
    return _noted(run, stage, Artifact(place, content), content[:16])


def _verified(run: Run, stage: str, place: Path) -> Manifest:
    """Every hash the first time this run meets the artifact, names and sizes afterwards."""
    manifest = read_manifest(place)
    damaged = (missing_files if _is_linked(run, stage, place) else damaged_files)(place, manifest)
    if damaged:
        raise InputError(f"{stage}.use = {place}: {len(damaged)} files differ from the manifest, first {damaged[0]}.")
    return manifest


def _noted(run: Run, stage: str, artifact: Artifact, fingerprint: str) -> Artifact:
    _refuse_another(run, stage, artifact)
    run.artifacts[stage] = artifact
    known = _is_linked(run, stage, artifact.path)
    link(run.directory, stage, artifact.path)
    if not known:
        record(run.directory, "artifact", stage=stage, fingerprint=fingerprint, content=artifact.content)
    return artifact


def _refuse_another(run: Run, stage: str, artifact: Artifact) -> None:
    """A training goes on with the data it was started on, and its run keeps pointing there. Pack indexes may be others:
    a further phase has rows of another length."""
    started = events(run.directory, "training")
    if started and stage != "packs" and started[-1]["upstream"].get(stage, artifact.content) != artifact.content:
        raise ConfigError(
            f"training of {run.config.name} has started on another {stage}. Put the sections back as they were, or "
            "give this run a new name: eurolm run CONFIG name=NEW."
        )


def _is_linked(run: Run, stage: str, place: Path) -> bool:
    pointer = run.directory / stage
    return pointer.is_symlink() and pointer.resolve() == place.resolve()
