"""The report: a network's collapse and its out-of-distribution detection."""
