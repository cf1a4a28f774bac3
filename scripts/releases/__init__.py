"""The life of a model on an endpoint: what is released, how, and which versions there are."""
