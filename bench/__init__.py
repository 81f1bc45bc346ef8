"""What Tenure promises to reach, measured: `python -m bench` (or `make bench`). Each part is a module with `measure()`."""
