"""Single predictions: the request for one image, and what its reply says."""
