"""Does a backfill over several machines bear that everything dies? Real parts on one host, killed again and again.

python -m tests.workers.chaos [--series 500] [--kills 200] [--seed S] [--short]

PostgreSQL, an S3 server, the head of a Ray cluster with two workers, two consoles (all that a Streamlit server has but
its pages, as a person's clicks come by a pipe) and the fake exchanges at each provider's own rate. Workers, their
actors, consoles, the head and the server of the state are killed and started again at moments that the seed says, and
one worker is cut off from the state. What was interrupted is continued as a person would. The exit status is 1 if a
series is not exact in the end, a candle is there twice, a request came too soon, or a run does not say what is true.
"""
