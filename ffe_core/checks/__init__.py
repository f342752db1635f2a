"""Checks of stored bars: series against each other, bars against what their series does, prices against splits.

A check reads and never changes, hides or fills in anything: it makes findings, with evidence, that a person judges.
"""
