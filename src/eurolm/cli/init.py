"""`eurolm init NAME`: a config of one's own, with a source per text file found."""

from __future__ import annotations

import re
from pathlib import Path

import click

from eurolm.artifacts.atomic import write_text
from eurolm.cli.options import common
from eurolm.config.shipped import shipped
from eurolm.console import Reporter
from eurolm.errors import ConfigError, InputError

ENDINGS = (".jsonl", ".jsonl.zst", ".jsonl.gz", ".parquet", ".txt", ".txt.zst", ".txt.gz")


@click.command()
@click.argument("name")
@click.option("--text", required=True, type=click.Path(path_type=Path), help="Directory with your text files.")
@click.option("--languages", required=True, help="Languages to keep, for example lv,et.")
@click.option("--cluster", default="local", metavar="NAME", show_default=True, help="Machine, as in `cluster show`.")
@common
def init(name: str, text: Path, languages: str, cluster: str, reporter: Reporter) -> None:
    """Write NAME.yaml for your text: one source per file or per directory of the same language."""
    from eurolm.cluster.profile import load_profile

    target, machine = Path(f"{name}.yaml"), load_profile(cluster)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", name):
        raise ConfigError(f"{name!r} cannot name a run: use letters, digits, '_', '.' and '-'.")
    if target.exists():
        raise ConfigError(f"{target} exists. Choose another name, or delete it.")
    wanted = [code.strip() for code in languages.split(",") if code.strip()]
    known = sorted(path.stem for path in (shipped("configs") / "languages").glob("*.yaml"))
    unknown = [code for code in wanted if code not in known]
    if unknown or not wanted:
        raise ConfigError(f"--languages {languages}: no rules for {', '.join(unknown) or 'none'}; shipped: {known}.")
    sources = find_sources(text, wanted)
    write_text(target, _config_text(name, wanted, sources, cluster))
    verb = "plan" if machine.slurm.present else "run"
    reporter.say(f"{target} written with {len(sources)} sources. Look it over, then: eurolm {verb} {target}")


def find_sources(text: Path, languages: list[str]) -> list[tuple[str, str, str | None]]:
    """(source name, path pattern, language or null) per text file below `text`; a directory named like a language
    gives its files that language. Raises InputError where there is no text."""
    if not text.is_dir():
        raise InputError(f"--text {text} is not a directory.")
    files = sorted(path for path in text.rglob("*") if path.is_file() and path.name.endswith(ENDINGS))
    found: dict[str, tuple[str, str, str | None]] = {}
    for path in files:
        parts = path.relative_to(text).parts
        language = next((part for part in parts[:-1] if part in languages), None)
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.name.split(".")[0]) or "text"
        source = f"{language}_{stem}" if language and not stem.startswith(f"{language}_") else stem
        while source in found:
            source += "_2"
        found[source] = (source, str(path.resolve()), language)
    if not found:
        raise InputError(f"--text {text} holds no {', '.join(ENDINGS)} files.")
    return list(found.values())


def _config_text(name: str, languages: list[str], sources: list[tuple[str, str, str | None]], cluster: str) -> str:
    extends = ", ".join(["quickstart-sizes.yaml", *(f"languages/{code}.yaml" for code in languages)])
    lines = [
        f"# {name}: sizes and schedule come from quickstart-sizes.yaml (a small model for a laptop);",
        "# `eurolm config explain` prints every value with its origin.",
        f"name: {name}",
        f"extends: [{extends}]",
        "corpus:",
        "  sources:",
    ]
    for source, path, language in sources:
        lines += [f"    - name: {source}", f"      paths: [{_quoted(path)}]"]
        if language:
            lines.append(f"      language: {language}")
        lines.append("      license: null  # state it: it travels with every document")
    billed = [] if cluster == "local" else ["  account: null  # state it: the project that is billed"]
    return "\n".join([*lines, "cluster:", f"  name: {cluster}", *billed, ""])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
