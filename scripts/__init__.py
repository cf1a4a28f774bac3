"""What an operator types: the ``sam-vertex`` command line and its tools."""
