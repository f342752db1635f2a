"""Upkeep of the lake: what tables need, compaction, checkpoints, clean-up of logs, and deletion of unused files."""
