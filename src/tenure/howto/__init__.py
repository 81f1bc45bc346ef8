"""The patterns of the how-tos, on Tenure's side: who has acknowledged what, and operations that go unit by unit."""
