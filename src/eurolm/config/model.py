"""`Config`: the whole run, one section per stage."""

from __future__ import annotations

from eurolm.config.architecture import ModelConfig
from eurolm.config.cluster import ClusterConfig
from eurolm.config.corpus import CorpusConfig
from eurolm.config.evaluate import EvaluateConfig, ReportConfig, RunConfig
from eurolm.config.fields import Name, Observation, Section
from eurolm.config.tokens import MixtureConfig, TokenizerConfig, TokensConfig
from eurolm.config.train import TrainConfig


class Config(Section):
    """One run: from raw text to an evaluated model."""

    name: Observation[Name]
    """Name of the run: its directory is `runs/<name>`."""
    extends: Observation[list[str]] = []
    """Files this one builds on, relative to it, or shipped ones such as `languages/lv.yaml`."""
    run: Observation[RunConfig] = RunConfig()
    """Where the run lives."""
    corpus: Observation[CorpusConfig] = CorpusConfig()
    """Text in, clean documents out."""
    tokenizer: Observation[TokenizerConfig] = TokenizerConfig()
    """Vocabulary."""
    tokens: Observation[TokensConfig] = TokensConfig()
    """Token shards."""
    mixture: Observation[MixtureConfig] = MixtureConfig()
    """Which row comes when."""
    model: Observation[ModelConfig] = ModelConfig()
    """Architecture and initial weights."""
    train: Observation[TrainConfig] = TrainConfig()
    """Training."""
    evaluate: Observation[EvaluateConfig] = EvaluateConfig()
    """Scores."""
    report: Observation[ReportConfig] = ReportConfig()
    """Report."""
    cluster: Observation[ClusterConfig] = ClusterConfig()
    """Machine."""
