"""Speed and memory against the BLAS limit and fair rivals: python -m benchmarks."""
