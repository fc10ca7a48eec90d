"""`eurolm evaluate RUN|MODEL --suite NAME`: score any model on a suite of tasks; no config needed."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from eurolm.cli.generate import model_directory
from eurolm.cli.options import common
from eurolm.config.evaluate import EvaluateConfig
from eurolm.console import Reporter
from eurolm.errors import ConfigError

if TYPE_CHECKING:
    from eurolm.evaluate.suites import Choice

DEFAULT_SUITE = "baltic-base"
BACKENDS = ("eurolm", "lm-eval")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Source:
    """What the user named: the model, the run it belongs to if any, and a name for its results."""

    model: Path | None
    """Null for a checkpoint, which is exported first."""
    run_dir: Path | None
    step: int | None
    name: str


@click.command()
@click.argument("source", metavar="RUN|CHECKPOINT|MODEL", required=False)
@click.option("--suite", default=DEFAULT_SUITE, show_default=True, help="A suite's name, or a YAML file of one.")
@click.option("--task", "tasks", multiple=True, help="Only this task of the suite, or any other; may be repeated.")
@click.option("--shots", type=click.IntRange(min=0), help="Examples before each question, not the suite's number.")
@click.option("--items", multiple=True, metavar="[TASK=]FILE", help="Items of that file, or `full`; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many items per task, chosen by hash.")
@click.option("--step", type=click.IntRange(min=1), help="A checkpoint of RUN instead of its finished model.")
@click.option("--checkpoints", is_flag=True, help="Every checkpoint of RUN that is kept for good, now.")
@click.option("--chat", is_flag=True, help="Ask as a conversation, by the model's chat template.")
@click.option("--dtype", type=click.Choice(DTYPES), help="bfloat16 where the hardware multiplies it, unless given.")
@click.option("--backend", type=click.Choice(BACKENDS), default="eurolm", show_default=True, help="Who scores.")
@click.option("--endpoint", metavar="URL", help="Ask SOURCE, a model's name, of an OpenAI-compatible server.")
@click.option("--replay", metavar="SHARE", help="Score that share of finished items again and report drift: 2%.")
@click.option("--hits", multiple=True, type=click.Path(exists=True, path_type=Path), help="More contamination hits.")
@click.option("--ranks", type=click.IntRange(min=1), help="Processes on this host; one per accelerator without it.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the results.")
@click.option("--workspace", default=".", type=click.Path(path_type=Path), help="Directory that holds runs/.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of results.json and stop.")
@common
def evaluate(
    source: str | None, workspace: Path, out: Path | None, schema: bool, reporter: Reporter, **given: Any
) -> None:
    """Score a RUN's model, a CHECKPOINT or any Hugging Face MODEL directory on a suite, offline.

    Finished tasks are kept: the same command goes on where it was stopped. Writes results.json, items-*.jsonl and
    manifest.json.
    """
    if schema:
        from eurolm.evaluate.results import json_schema

        click.echo(json.dumps(json_schema(), indent=1))
        return
    if source is None:
        raise ConfigError("Name a run, a checkpoint or a model directory: eurolm evaluate RUN|MODEL --suite NAME.")
    if given["checkpoints"] or _is_curve_point(source, workspace, given, out):
        _checkpoints(source, workspace, given["step"], reporter)
        return
    wanted = _wanted(given)
    if given["endpoint"]:
        _hand_over(_evaluate_endpoint(source, given["endpoint"], out, wanted, workspace, reporter), reporter)
        return
    found = find(source, given["step"], workspace)
    place = out if out is not None else _place(found, wanted.name, workspace)
    if given["replay"]:
        _replay(found, place, wanted, given, reporter)
        return
    if _started_ranks(given["ranks"]):
        return
    value = _evaluate(found, place, wanted, given["chat"], given["backend"], reporter)
    if value is not None:
        _hand_over((value, place), reporter)


def _hand_over(made: tuple[dict[str, Any], Path], reporter: Reporter) -> None:
    value, place = made
    if reporter.mode == "json":
        click.echo(json.dumps(value, ensure_ascii=False))
    else:
        click.echo(place / "results.json")


def _evaluate_endpoint(
    model: str, url: str, out: Path | None, wanted: Wanted, workspace: Path, reporter: Reporter
) -> tuple[dict[str, Any], Path]:
    from eurolm.evaluate.endpoint import open_endpoint
    from eurolm.evaluate.remote import evaluate_endpoint

    place = out or workspace / "evaluation" / f"{model.replace('/', '-')}-{wanted.name}"
    return evaluate_endpoint(open_endpoint(url, model), place, wanted.config, wanted.choices, reporter), place


def find(source: str, step: int | None, workspace: Path) -> Source:
    """The model meant by a run's name or directory, a checkpoint's directory, or a model directory."""
    path = Path(source)
    if path.parent.name == "checkpoints" and path.name.startswith("step-"):
        owner = path.parent.parent
        return Source(None, owner, int(path.name.removeprefix("step-")), f"{owner.name}-{path.name}")
    if step is not None:
        from eurolm.cli.corpus import run_directory

        return Source(None, run_directory(source, workspace), step, source)
    model = model_directory(source, workspace)
    run_dir = model.parent if (model.parent / "run.json").is_file() else None
    return Source(model, run_dir, None, run_dir.name if run_dir else model.resolve().name)


def _is_curve_point(source: str, workspace: Path, given: dict[str, Any], out: Path | None) -> bool:
    """A checkpoint of a run asked for the very suite that the run's curves are made of: it is a point of them."""
    from eurolm.config.load import load_config

    places = (workspace / "runs" / source, Path(source))
    run_dir = next((place for place in places if (place / "config.yaml").is_file()), None)
    special = out is not None or any(
        given[name] for name in ("tasks", "shots", "items", "limit", "dtype", "chat", "replay", "hits")
    )
    if run_dir is None or given["step"] is None or special or given["backend"] != BACKENDS[0]:
        return False
    return load_config(run_dir / "config.yaml").config.evaluate.checkpoint_suite == str(given["suite"])


def _checkpoints(source: str, workspace: Path, step: int | None, reporter: Reporter) -> None:
    from eurolm.cli.corpus import run_directory
    from eurolm.config.load import load_config
    from eurolm.evaluate.checkpoints import evaluate_checkpoints
    from eurolm.train.exports import export_step

    run_dir = run_directory(source, workspace)
    config = load_config(run_dir / "config.yaml").config
    corpus = run_dir / "corpus" if (run_dir / "corpus").is_dir() else None
    for place in evaluate_checkpoints(config, run_dir, corpus, export_step, reporter, step):
        click.echo(place / "results.json")


@dataclass(frozen=True)
class Wanted:
    """What a model is to be asked, and a name for it: another question's results go into another directory."""

    config: EvaluateConfig
    choices: dict[str, Choice]
    name: str


def _wanted(given: dict[str, Any]) -> Wanted:
    from eurolm.artifacts.hashing import sha256_json
    from eurolm.evaluate.suites import Choice, adjusted, load_suite

    suite, names = load_suite(given["suite"]).tasks, list(given["tasks"])
    choices = {name: suite.get(name, Choice()) for name in names} if names else dict(suite)
    if given["shots"] is not None:
        choices = {name: choice.model_copy(update={"shots": given["shots"]}) for name, choice in choices.items()}
    items, limit = _items(given["items"], names), given["limit"]
    config = EvaluateConfig(
        suite=None if names else given["suite"],
        tasks=names,
        items=items,
        limit=limit,
        dtype=given["dtype"],
        batch_tokens=None,
        hits=list(given["hits"]),
    )
    parts = ["-".join(Path(name).stem for name in names)[:80] or Path(given["suite"]).stem]
    parts += [f"{given['shots']}-shot"] * (given["shots"] is not None) + [f"limit-{limit}"] * (limit is not None)
    parts += [f"items-{sha256_json(items)[:8]}"] * bool(items)
    parts += [given["dtype"]] * (given["dtype"] is not None)
    parts += ["chat"] * given["chat"] + [given["backend"]] * (given["backend"] != BACKENDS[0])
    return Wanted(config, adjusted(choices, items, limit), "-".join(parts))


def _items(given: tuple[str, ...], tasks: list[str]) -> dict[str, str]:
    """Files of items by task; one without a name belongs to the only --task."""
    named: dict[str, str] = {}
    for entry in given:
        task, equals, file = entry.partition("=")
        if not equals:
            if len(tasks) != 1:
                raise ConfigError(f"--items {entry}: whose items? Write --items TASK={entry}, once for each task.")
            task, file = tasks[0], entry
        if task in named:
            raise ConfigError(f"--items {entry}: {task} has items already, {named[task]}. Give one file a task.")
        named[task] = file
    return named


def _place(found: Source, asked: str, workspace: Path) -> Path:
    if found.run_dir is not None:
        step = f"-step-{found.step:08d}" if found.step is not None else ""
        return found.run_dir / "evaluation" / f"{asked}{step}"
    return workspace / "evaluation" / f"{found.name}-{asked}"


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ConfigError(f"--replay {text}: give a share of the items, such as 2% or 0.02.")
    return share


def _started_ranks(wanted: int | None) -> bool:
    """Start this very command once per rank and wait. False where this process is to score itself."""
    from eurolm.evaluate.devices import accelerators, is_rank, start_ranks

    count = wanted or max(1, accelerators())
    if is_rank() or count == 1:
        return False
    code = start_ranks([sys.executable, "-m", "eurolm", *sys.argv[1:]], count)
    if code:
        sys.exit(code)
    return True


def _evaluate(
    found: Source, place: Path, wanted: Wanted, chat: bool, backend: str, reporter: Reporter
) -> dict[str, Any] | None:
    """The results on the first rank, null on the others."""
    from eurolm.artifacts.lease import lease
    from eurolm.evaluate.devices import join_ranks
    from eurolm.evaluate.request import Backend, of_model
    from eurolm.evaluate.stage import evaluate as score

    ranks = join_ranks()
    model = ranks.from_first(lambda: _model(found))
    corpus = found.run_dir / "corpus" if found.run_dir and (found.run_dir / "corpus").is_dir() else None
    chosen: Backend = next(name for name in get_args(Backend) if name == backend)
    request = of_model(model, place, wanted.config, corpus, found.step, wanted.choices)
    request = replace(request, chat=chat, backend=chosen, ranks=ranks)
    if not ranks.first:
        score(request, Reporter("quiet"))
        return None
    place.mkdir(parents=True, exist_ok=True)
    with lease(place / "evaluate.lease"):
        return score(request, reporter)


def _model(found: Source) -> Path:
    if found.model is not None:
        return found.model
    from eurolm.train.exports import export_step

    if found.run_dir is None:
        raise ConfigError(f"{found.name} is a step of no run.")
    return export_step(found.run_dir, found.step)


def _replay(found: Source, place: Path, wanted: Wanted, given: dict[str, Any], reporter: Reporter) -> None:
    """Score a sample of what stands in `place` again and say what moved."""
    from eurolm.evaluate.drift import replay_all
    from eurolm.evaluate.request import of_model

    request = of_model(_model(found), place, wanted.config, step=found.step, choices=wanted.choices)
    request = replace(request, chat=given["chat"])
    drifts = replay_all(request, _share(given["replay"]), reporter)
    if reporter.mode == "json":
        click.echo(json.dumps(drifts, ensure_ascii=False))
