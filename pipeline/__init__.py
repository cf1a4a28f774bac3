"""Batch segmentation on Kubeflow Pipelines: the graph, its steps and the report."""
