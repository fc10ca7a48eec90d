from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tokenizer.extension.bases import SPECIAL, pre_tokens, texts
from tokenizers import pre_tokenizers

from eurolm.tokenizer.bpe import train
from eurolm.tokenizer.extension.learn import Merge, Words, learn
from eurolm.tokenizer.extension.words import in_line
from eurolm.tokenizer.inventory import WeightedWords


def line(words: dict[tuple[int, ...], int]) -> Words:
    ids, starts = in_line([list(word) for word in words])
    return Words(ids, starts, np.array(list(words.values()), np.int64))


def test_from_single_bytes_it_learns_what_the_trainer_learns_from_text() -> None:
    # Trainers count overlapping pairs (aaa is two), an encoder merges one of them: such words are left out.
    counted = {spelled(word): (word, count) for word, count in pre_tokens(texts("lv", 24) + texts("et", 24)).items()}
    words = dict(pair for letters, pair in counted.items() if not re.search(r"(.)\1\1", letters))
    merges = train(WeightedWords(sorted(words.items()), 1), 900, SPECIAL).merges
    alphabet = {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokens = {number: character for character, number in alphabet.items()}

    def accept(merge: Merge) -> bool:
        tokens[merge.token] = tokens[merge.left] + tokens[merge.right]
        return True

    by_letters = Counter[tuple[int, ...]]()
    for word, count in words.items():
        by_letters[tuple(alphabet[character] for character in spelled(word))] += count
    found = learn(line(by_letters), range(256, 256 + len(merges)), 2, accept)
    assert [(tokens[merge.left], tokens[merge.right]) for merge in found] == list(merges)
    # From where the first merges leave the words, the others follow.
    few = dict(list(by_letters.items())[:800])
    whole = learn(line(few), range(256, 376), 2, lambda merge: True)
    begun = Counter[tuple[int, ...]]()
    for word, count in few.items():
        begun[tuple(segment(word, whole[:60]))] += count
    assert learn(line(begun), range(316, 376), 2, lambda merge: True) == whole[60:]


def spelled(word: str) -> str:
    return "".join(piece for piece, _ in pre_tokenizers.ByteLevel(False, use_regex=False).pre_tokenize_str(word))


def segment(word: tuple[int, ...] | list[int], merges: list[Merge]) -> list[int]:
    """Merges applied one after the other, from the left: what BPE is, written plainly."""
    ids = list(word)
    for merge in merges:
        place = 0
        while place + 1 < len(ids):
            if (ids[place], ids[place + 1]) == (merge.left, merge.right):
                ids[place : place + 2] = [merge.token]
            place += 1
    return ids


WORDS = st.dictionaries(st.lists(st.integers(0, 3), min_size=1, max_size=9).map(tuple), st.integers(1, 5), min_size=1)


@settings(max_examples=200, deadline=None)
@given(words=WORDS, count=st.integers(1, 12), refused=st.integers(0, 5))
def test_every_choice_is_the_most_frequent_pair_left(
    words: dict[tuple[int, ...], int], count: int, refused: int
) -> None:
    asked: list[Merge] = []

    def accept(merge: Merge) -> bool:
        asked.append(merge)
        return len(asked) > refused

    found = learn(line(words), range(10, 10 + count), 2, accept)
    out = {(merge.left, merge.right) for merge in asked[:refused]}
    for number, merge in enumerate(found):
        state = {word: segment(word, found[:number]) for word in words}
        weights = Counter[tuple[int, int]]()
        for word, ids in state.items():
            for pair in set(pairwise(ids)) - out:
                one = Merge(*pair, 99, 0)
                weights[pair] += words[word] * (len(ids) - len(segment(ids, [one])))
        best = max(weights.values())
        assert merge.weight == best == weights[merge.left, merge.right]
        assert (merge.left, merge.right) == min(pair for pair, weight in weights.items() if weight == best)
        assert merge.token == 10 + number
    if len(found) < count:
        left = Counter[tuple[int, int]]()
        for word, weight in words.items():
            ids = segment(word, found)
            for pair in set(pairwise(ids)) - out:
                left[pair] += weight * (len(ids) - len(segment(ids, [Merge(*pair, 99, 0)])))
        assert max(left.values(), default=0) < 2
