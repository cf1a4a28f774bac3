"""Families of networks that segment as Segment Anything does: each an entry in ``table``.

An entry says what differs: how an image becomes the square that the network sees, what embeds it,
and how its small masks are read. Prompts, mask decoder, generator, container and pipeline are the
same for all.
"""
