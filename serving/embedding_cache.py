"""Embeddings of images that clients prompted before, bounded by bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict

from serving.sam.embedding import Embedding


class EmbeddingCache:
    """The most recently used embeddings, keyed by the digest of the image's bytes.

    Attributes:
        limit_bytes: memory for embeddings; the least recently used go first.
        hits: how often it held the embedding of a prompted image.
        misses: how often it did not.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.hits = self.misses = 0
        self._kept: OrderedDict[str, Embedding] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Memory that the kept embeddings take."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, digest: str) -> Embedding | None:
        """The embedding of an image, which is then the most recently used; counts hit or miss."""
        with self._lock:
            embedding = self._kept.get(digest)
            if embedding is None:
                self.misses += 1
                return None
            self.hits += 1
            self._kept.move_to_end(digest)
            return embedding

    def peek(self, digest: str) -> Embedding | None:
        """The embedding of an image, without counting."""
        with self._lock:
            return self._kept.get(digest)

    def put(self, digest: str, embedding: Embedding) -> None:
        """Keep an embedding, unless it is larger than the whole cache."""
        size = embedding.size_bytes
        with self._lock:
            earlier = self._kept.pop(digest, None)
            if earlier is not None:
                self._bytes -= earlier.size_bytes
            if size > self.limit_bytes:
                return
            self._kept[digest] = embedding
            self._bytes += size
            while self._bytes > self.limit_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.size_bytes
