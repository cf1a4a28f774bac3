"""``sam-vertex annotate``: a local page to click masks, name them and judge a run's.

The page (``page/``) is plain ES modules; ``app`` answers it, ``saved`` keeps what somebody decides,
and a ``segmenters.Segmenter`` makes the masks, on this machine or on a model server.
"""
