"""The cache of embeddings keeps to its bytes and drops the least recently used."""

from __future__ import annotations

import torch

from serving.embedding_cache import EmbeddingCache
from serving.sam.batched_decoder import SharedTokens
from serving.sam.embedding import Embedding
from serving.sam.families.preprocessing import Frame


def embedding(numbers: int) -> Embedding:
    prepared = SharedTokens(*[torch.zeros(0)] * 4)
    return Embedding(torch.zeros(1, numbers), Frame(1, (1, 1), (1, 1)), prepared)


def test_the_cache_is_bounded_by_bytes_and_forgets_the_least_recently_used() -> None:
    cache = EmbeddingCache(12 * 4)
    a, b, c = embedding(4), embedding(4), embedding(8)
    cache.put("a", a)
    cache.put("b", b)
    assert cache.get("a") is a
    cache.put("c", c)  # pushes "b" out, which nobody asked for
    assert cache.get("b") is None
    assert cache.get("a") is a
    assert cache.get("c") is c
    assert (cache.hits, cache.misses) == (3, 1)
    assert (len(cache), cache.size_bytes) == (2, 48)
    cache.put("large", embedding(13))
    assert cache.peek("large") is None
    cache.put("a", embedding(1))  # replaced, not added
    assert cache.size_bytes == 4 + 32
    assert (cache.hits, cache.misses) == (3, 1)
