"""The Delta tables: guarded writes, bounded reads."""

import os

# Rust's own log of an object store is twenty lines a failure, on stderr; what failed is said in `faults`.
os.environ.setdefault("RUST_LOG", "error")
