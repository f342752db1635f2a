"""Workers on other machines: an engine of runs that spreads their series over a Ray cluster."""
