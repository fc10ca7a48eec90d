"""Continuing a model with another vocabulary: which old rows make each row of its embedding and output head.

A token that the old vocabulary has, by its bytes or, if special, by its name, keeps its row. The end-of-document token
takes that of the old one. Any other takes the mean of the rows of the pieces which the old tokenizer cuts its bytes
into, so that a text has about the representation it had before (as in Hewitt 2021, "Initializing new word embeddings",
with the token's own pieces in place of the whole vocabulary). Padding rows, and tokens that the old vocabulary has no
pieces for, take the mean of all old rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eurolm.errors import InputError
from eurolm.model.records import VocabularyRecord
from eurolm.model.size import padded_vocabulary
from eurolm.model.tokens import Vocabulary, read_vocabulary
from eurolm.tokenizer.load import LoadedTokenizer, load

ROWS_AT_ONCE = 8192
"""Rows averaged at once in fp32."""

NAMED = 10
"""Tokens named in the record where there may be many."""


@dataclass(frozen=True)
class Fitted:
    """The old rows behind each new one, by id; none stands for all of them."""

    sources: list[tuple[int, ...]]
    old_tokens: int
    record: VocabularyRecord

    def rows_of(self, matrix: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """`matrix` [old rows, width] as [new rows, width] in `dtype`; means are taken in fp32 and rounded once."""
        matrix = matrix.detach()
        if self.record.unchanged:
            return matrix.to(dtype)
        total = torch.zeros(matrix.shape[1], dtype=torch.float64)
        for start in range(0, self.old_tokens, ROWS_AT_ONCE):
            total += matrix[start : min(start + ROWS_AT_ONCE, self.old_tokens)].double().sum(0)
        result = (total / self.old_tokens).to(dtype).repeat(self.record.rows_after, 1)
        for start in range(0, len(self.sources), ROWS_AT_ONCE):
            part = self.sources[start : start + ROWS_AT_ONCE]
            counts = torch.tensor([len(rows) for rows in part])
            flat = torch.tensor([row for rows in part for row in rows])
            owners = torch.repeat_interleave(torch.arange(len(part)), counts)
            sums = torch.zeros(len(part), matrix.shape[1]).index_add_(0, owners, matrix[flat].float())
            found = counts > 0
            result[start : start + len(part)][found] = (sums[found] / counts[found, None]).to(dtype)
        return result


def fitted(use: Path, tokenizer: LoadedTokenizer, old_rows: int) -> Fitted:
    """The rows of the model in `use`, which has `old_rows`, for the run's tokenizer.

    Raises InputError for a directory without its tokenizer or with one that is not the model's.
    """
    try:
        loaded = load(use)
    except InputError as error:
        raise InputError(
            f"model.use = {use}: {error} Without the model's tokenizer nobody knows which row belongs to which token."
        ) from None
    if loaded.vocab_size > old_rows:
        raise InputError(
            f"model.use = {use}: its tokenizer has {loaded.vocab_size:,} entries, its model {old_rows:,} embedding "
            "rows. They do not belong together; fetch the tokenizer the model was trained with."
        )
    return match(read_vocabulary(loaded, use), read_vocabulary(tokenizer, Path("the run's tokenizer")), old_rows)


def match(old: Vocabulary, new: Vocabulary, old_rows: int) -> Fitted:
    """Which rows of the old vocabulary make each of the new one's."""
    same = [_same(old, new, number) for number in range(len(new.names))]
    sources = [(kept,) if kept is not None else _pieces(old, new, number) for number, kept in enumerate(same)]
    unchanged = new.eod_id == old.eod_id and all(
        kept == number or new.names[number] is None for number, kept in enumerate(same)
    )
    renamed = new.names[new.eod_id] not in old.special
    averaged = [rows for rows, kept in zip(sources, same, strict=True) if kept is None and rows]
    lost = [name for name, rows in zip(new.names, sources, strict=True) if name is not None and not rows]
    rows = old_rows if unchanged else padded_vocabulary(len(new.names))
    record = VocabularyRecord(
        unchanged=unchanged,
        tokens=sum(name is not None for name in new.names),
        copied=sum(kept is not None for kept in same) - renamed,
        averaged=len(averaged),
        pieces=sum(map(len, averaged)),
        end_of_document=old.names[old.eod_id] if renamed else None,
        not_found=len(lost),
        first_not_found=lost[:NAMED],
        padding_rows=rows - sum(name is not None for name in new.names),
        rows_before=old_rows,
        rows_after=rows,
    )
    return Fitted(sources, len(old.names), record)


def fit_vocabulary(model: Any, use: Path, tokenizer: LoadedTokenizer) -> VocabularyRecord:
    """Give `model`, loaded from `use`, an embedding and a head for the run's tokenizer, in place."""
    matrices = embedding_matrices(model)
    plan = fitted(use, tokenizer, matrices[0].shape[0])
    if not plan.record.unchanged:
        values = [plan.rows_of(matrix, matrix.dtype) for matrix in matrices]
        model.resize_token_embeddings(plan.record.rows_after, mean_resizing=False)
        with torch.no_grad():
            for parameter, value in zip(embedding_matrices(model), values, strict=True):
                parameter.copy_(value)
    return plan.record


def embedding_matrices(model: Any) -> Sequence[torch.Tensor]:
    """The input embedding and, where it is another parameter, the output head."""
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    return (embedding,) if head is embedding else (embedding, head)


def _same(old: Vocabulary, new: Vocabulary, number: int) -> int | None:
    """The old id of a new token, or null."""
    name, data = new.names[number], new.spelled[number]
    if name is None:
        return None
    if data is None:
        found = old.special.get(name, old.by_name.get(name))
        return old.eod_id if found is None and number == new.eod_id else found
    twin = old.by_name.get(name)
    return twin if twin is not None and old.spelled[twin] == data else old.by_bytes.get(data)


def _pieces(old: Vocabulary, new: Vocabulary, number: int) -> tuple[int, ...]:
    name, data = new.names[number], new.spelled[number]
    if name is None:
        return ()
    return old.pieces(name.encode() if data is None else data)
