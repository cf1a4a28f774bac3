"""The prediction container: Segment Anything behind a Vertex AI model server.

The shared core, :mod:`serving.sam` (images in, masks out), is used by the pipeline and the command
line as well and knows nothing of Google Cloud. Around it:

- :mod:`serving.contract`  what a request may contain, checked before any model runs
- :mod:`serving.predictor` the four methods of a Vertex Custom Prediction Routine
- :mod:`serving.handler`   HTTP in and out; prediction off the event loop, one at a time
- :mod:`serving.replies`   masks and logits in the form the client asked for
- :mod:`serving.server`    the container's entry point
"""
