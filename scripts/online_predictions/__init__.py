"""Single predictions: the request for one image, the servers that answer it, and the reply."""
