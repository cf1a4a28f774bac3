"""The prediction container: Segment Anything behind a Vertex AI model server.

The room is named for what it will serve; :mod:`serving.sam` is the shared core (images in, masks
out) that the pipeline and the command line use as well and that knows nothing of Google Cloud.
"""
