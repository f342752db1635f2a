"""Tests of adjustment."""
