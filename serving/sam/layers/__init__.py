"""Layers of the network, rewritten for speed: the same functions of the same weights."""
