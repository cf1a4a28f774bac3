"""The steps of the pipeline as ordinary functions; components are thin shells around them."""
