"""Who is compared in `benchmarks/backlog.py`: one module for each kind of queue."""
