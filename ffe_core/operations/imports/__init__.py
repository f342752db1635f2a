"""Imports of files, as runs: planned before anything is stored, then worked off like every other run."""
