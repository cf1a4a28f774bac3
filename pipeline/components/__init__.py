"""Thin shells that Kubeflow runs: one import of a step and one call, each in its own process."""

from pipeline.components.plan_shards import plan_shards
from pipeline.components.segment_shard import segment_shard
from pipeline.components.write_report import write_report
from pipeline.components.write_report_of_jobs import write_report_of_jobs

__all__ = ["plan_shards", "segment_shard", "write_report", "write_report_of_jobs"]
