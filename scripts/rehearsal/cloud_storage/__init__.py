"""Cloud Storage: fake-gcs-server behind a front that knows callers, grants and versions."""
