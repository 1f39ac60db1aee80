"""Many cases: one after the other or on many machines, to be gone on with after any end."""
