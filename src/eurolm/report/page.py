"""Puts the sections together and renders the page."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from eurolm.config.model import Config
from eurolm.config.shipped import package_file
from eurolm.evaluate.results import Results
from eurolm.report import (
    charts,
    continued,
    corpus_details,
    corpus_view,
    curves_view,
    numbers,
    parity_view,
    provenance,
    scores_view,
    tokenizer_view,
)
from eurolm.report.figures import Headline
from eurolm.report.inputs import CORPUS, METRICS, RESULTS, SAMPLES, TOKENIZER, TOKENS, RunFiles
from eurolm.report.training import Course, prompts, share_label, summary

KEPT_BLANKS = frozenset("\n\t\u00a0\u200b\u200c\u200d\u00ad\u2009\u202f\u2003")
"""Blanks and format characters that are not "printable" to Python but belong to text."""
FILTERS = {
    "whole": numbers.whole,
    "fixed": numbers.fixed,
    "percent": numbers.percent,
    "size": numbers.size,
    "compact": numbers.compact,
    "duration": numbers.duration,
    "language": numbers.language_name,
    "share_label": share_label,
}


def render_page(files: RunFiles, config: Config, went: Course | None, headline: Headline) -> str:
    """The whole HTML page. Everything that comes from data is escaped."""
    results = files.results
    environment = Environment(
        loader=FileSystemLoader(package_file("report/templates")),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(
        between=numbers.between, percent_between=numbers.percent_between, na=numbers.NOT_MEASURED
    )
    return environment.get_template("index.html.j2").render(
        title=config.report.title or config.name,
        config=config,
        headline=headline.figures,
        not_measured=headline.not_measured,
        bars=scores_view.bar_groups(results),
        corpus=_corpus(files, config),
        tokenizer=_tokenizer(files, config),
        training=_training(files, went, results),
        evaluation=_evaluation(files, config, results),
        provenance=_provenance(files),
    )


def _printable(value: Any) -> Any:
    """Text without the control characters that HTML forbids; corpora and untrained models hold any."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(letter if letter.isprintable() or letter in KEPT_BLANKS else "\ufffd" for letter in value)


def _corpus(files: RunFiles, config: Config) -> dict[str, Any]:
    report = files.object(CORPUS)
    if report is None:
        return {"missing": files.reason(CORPUS)}
    licences, note = corpus_view.licences(files.run_dir / "corpus", config.corpus.sources)
    return {
        "missing": "",
        "rows": corpus_view.funnel_rows(report),
        "totals": corpus_view.totals(report),
        "languages": corpus_view.languages_kept(report),
        "rules": corpus_view.rules_in_order(report),
        "funnel": corpus_view.funnel_chart(report),
        "drops": corpus_view.drops_chart(report),
        "planted": corpus_view.planted_rows(report),
        "kept_samples": report.get("samples", {}).get("kept", []),
        "dropped_samples": report.get("samples", {}).get("dropped", {}),
        "clusters": report.get("clusters", {}),
        "by_language": corpus_details.language_rows(report),
        "lengths": corpus_details.lengths_chart(report),
        "cut_out": corpus_details.cut_out(report),
        "contamination": corpus_details.contamination_rows(report),
        "opt_out": report.get("opt_out", []),
        "licences": licences,
        "licences_note": note,
    }


def _tokenizer(files: RunFiles, config: Config) -> dict[str, Any]:
    training, tokens = files.object(TOKENIZER), files.object(TOKENS)
    return {
        "missing": files.reason(TOKENIZER),
        "vocab_size": (training or tokens or {}).get("vocab_size"),
        "costs": tokenizer_view.cost_rows(training or {}),
        "missing_tokens": files.reason(TOKENS),
        "shards": tokenizer_view.shard_rows(tokens or {}),
        "parity": parity_view.parity(files.run_dir),
        **tokenizer_view.cut_sentences(files.run_dir, config),
    }


def _training(files: RunFiles, went: Course | None, results: Results | None) -> dict[str, Any]:
    samples = files.lines(SAMPLES)
    shown: dict[str, Any] = {"missing": files.reason(METRICS), "missing_samples": files.reason(SAMPLES)}
    shown["prompts"] = prompts(samples or [])
    if went is not None:
        shown |= {
            "summary": summary(went),
            "loss": charts.loss_chart(went),
            "validation": charts.validation_chart(scores_view.language_courses(went, results)),
            "small": charts.small_charts(went),
            "skips": went.skips,
            "torn": files.torn_lines.get(METRICS, 0),
            "continued": continued.continued(files.lines(METRICS) or [], went),
        }
    return shown


def _evaluation(files: RunFiles, config: Config, results: Results | None) -> dict[str, Any]:
    labels, references = scores_view.reference_table(results)
    return {
        "missing": files.reason(RESULTS),
        "results": results,
        "labels": labels,
        "references": references,
        "tasks": scores_view.task_rows(results),
        "chart": scores_view.tasks_chart(results) if results else None,
        "curves": curves_view.curves_chart(curves_view.read_checkpoints(files.run_dir, config.mixture)),
        "columns": scores_view.baseline_columns(results),
        "contamination": scores_view.contamination_rows(results),
    }


def _provenance(files: RunFiles) -> dict[str, Any]:
    inputs, more_inputs = provenance.input_rows(files)
    ledger, earlier = provenance.ledger_rows(files)
    return {
        "artifacts": provenance.artifact_rows(files),
        "inputs": inputs,
        "more_inputs": more_inputs,
        "stages": provenance.stage_seconds(files),
        "ledger": ledger,
        "earlier_events": earlier,
        "fingerprints": provenance.fingerprints(files),
        "installed": provenance.installed(),
        "config_yaml": files.config_yaml,
        "unreadable": [reason for name, reason in files.missing.items() if name.endswith("manifest.json")],
    }
