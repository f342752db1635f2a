"""What does it cost? One measurement a command; every one prints its ratio beside its goal.

python -m tests.benchmarks.ingest_cpu      cpu seconds from dicts to commit, against the same dicts to one parquet file
python -m tests.benchmarks.ingest_memory   peak memory of five million candles, against one million
python -m tests.benchmarks.request_rate    requests a second against a slow exchange, as a share of the allowed rate
python -m tests.benchmarks.coverage        coverage of a hundred pairs, against reading the timestamps of the same files

Each side of a comparison runs in a fresh process of its own, sides taking turns, and medians are compared. The exit
code is 1 when a goal is missed. `--quick` takes less of everything: good for a first look, not for a check.
"""
