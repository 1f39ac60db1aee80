"""What torch is slow at on a CPU, compiled: one optional library (`csrc/`) and its loader."""
