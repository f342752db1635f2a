"""Reliability suite: lets storage, disk, clock, providers and processes fail thousands of times, and counts.

    python -m tests.reliability            # everything
    python -m tests.reliability --quick    # a twentieth of everything
    python -m tests.reliability --only kills --kills 2000 --seed 7

Each trial is a real command (`python -m ffe_core VERB`) on a real data directory, in a process of its own: a fork of
one that has imported everything and used nothing (`zygote.py`), 0.3 s instead of 2 s. Each kind of trial has a module;
`verbs.py` says on what, `state.py` reads what a data directory holds without the product's help where that can be,
`verdict.py` compares it with what must be there. docs/reliability.md has the last table.
"""
