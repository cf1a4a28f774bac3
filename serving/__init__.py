"""The prediction container: Segment Anything behind a Vertex AI model server.

The pipeline and the command line use the core, :mod:`serving.sam` (images in, masks out), as well;
it knows nothing of Google Cloud. Around it:

- :mod:`serving.contract`  what a request may contain, checked before any model runs
- :mod:`serving.preparation` an instance before prediction: fetched, decoded, checked
- :mod:`serving.request_budget` pixels and bytes of a request, counted before they are spent
- :mod:`serving.decoded_pixels` pixels of all requests that are decoded before their turn
- :mod:`serving.predictor` the four methods of a Vertex Custom Prediction Routine
- :mod:`serving.handler`   HTTP in and out; prediction off the event loop, one at a time
- :mod:`serving.replies`   masks and logits in the form the client asked for
- :mod:`serving.front_page` what a browser is told at ``/``
- :mod:`serving.server`    the container's entry point
"""
