"""What `benchmarks/ingress.py` compares. Never imported by the library."""
