"""What is recorded of the weights training starts from. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VocabularyRecord:
    """What became of the rows; for the run's ledger."""

    unchanged: bool
    """The tokenizer is the model's own: no row was touched."""
    tokens: int
    copied: int
    """Tokens that keep the row of the same token."""
    averaged: int
    """Tokens whose row is the mean of their old pieces' rows."""
    pieces: int
    """Old rows behind the averaged ones."""
    end_of_document: str | None
    """Old token whose row the end of document took; null where it is the same token."""
    not_found: int
    """Tokens without old pieces: mean of all rows."""
    first_not_found: list[str]
    padding_rows: int
    rows_before: int
    rows_after: int

    def said(self) -> str:
        """One line for the user."""
        if self.unchanged:
            return "the tokenizer is the model's own; its embedding stays as it is"
        line = (
            f"vocabulary of {self.tokens:,}: {self.copied:,} tokens keep their rows, {self.averaged:,} are means of "
            f"their old pieces, embedding {self.rows_before:,} → {self.rows_after:,} rows"
        )
        if self.end_of_document is not None:
            line += f"; end of document takes the row of {self.end_of_document}"
        if self.not_found:
            names = ", ".join(map(repr, self.first_not_found))
            line += f"; {self.not_found:,} have no old pieces and take the mean of all rows ({names})"
        return line


@dataclass(frozen=True)
class InitialRecord:
    """Where the initial weights come from; for the run's ledger."""

    model: str
    """`seed N`, or the directory that is continued."""
    parameters: int
    dtype: str
    vocabulary: VocabularyRecord | None
    """What became of the embedding's rows; null for seeded weights."""
