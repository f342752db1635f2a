"""What does it cost? One measurement a command; every one prints its ratio beside its goal.

python -m tests.benchmarks.ingest_cpu      cpu seconds from dicts to commit, against the same dicts to one parquet file
python -m tests.benchmarks.import_files    cpu seconds and memory of importing 7,300 zips, against polars reading them
python -m tests.benchmarks.peers           cpu seconds for the same dicts, against dlt and ArcticDB
python -m tests.benchmarks.oanda_bytes     cpu seconds from the bytes of OANDA's answers to commit, against msgspec
python -m tests.benchmarks.coinbase_bytes  cpu seconds from the bytes of Coinbase's answers to commit, against msgspec
python -m tests.benchmarks.loop_stall      longest stall of the event loop while pages of 5,000 arrive
python -m tests.benchmarks.ingest_memory   peak memory of five million candles, against one million
python -m tests.benchmarks.answer_memory   peak memory of hostile answers, against a plain run
python -m tests.benchmarks.request_rate    requests a second against a slow exchange, as a share of the allowed rate
python -m tests.benchmarks.coverage        coverage of a hundred pairs, against reading the timestamps of the same files
python -m tests.benchmarks.scale           coverage and the Overview of a thousand series, a hundred of them of 1m
python -m tests.benchmarks.many_series     pages with ten thousand series against a hundred; PostgreSQL against a file
python -m tests.benchmarks.checks          all checks over years of series against reading their columns once
python -m tests.benchmarks.aged            a commit after ten thousand with upkeep, against one on a fresh table
python -m tests.benchmarks.small_commits   a one-bar commit with its share of upkeep, against release 0.1.0
python -m tests.benchmarks.tick            a tick of fifty series with a bar each, against release 0.1.0
python -m tests.benchmarks.chart_month     a month of a chart out of twenty million rows, against a plain file of it
python -m tests.benchmarks.read            a year of one pair and of a hundred as frames, against a plain file of it
python -m tests.benchmarks.chart_views     five years drawn whole, against one day; memory after 200 views
python -m tests.benchmarks.dead_letter_pages   a page of a million dead letters, against a page of ten files
python -m tests.benchmarks.console         a watched run against an unwatched one; pages full of data against bare ones
python -m tests.benchmarks.pages           every page cold against a bare one, and warm against release 0.1.0
python -m tests.benchmarks.startup         a command's start, against importing pyarrow and deltalake
python -m tests.benchmarks.schedules       pages while hundreds of schedules run, against an idle server
python -m tests.benchmarks.workers         a cpu-bound import by two workers of a core each, against one
python -m tests.benchmarks.instruments     a name and a search among twenty thousand listed shares, in milliseconds

Each side of a comparison runs in a fresh process of its own, sides taking turns, and medians are compared. The exit
code is 1 when a goal is missed. `--quick` takes less of everything: good for a first look, not for a check.
"""
