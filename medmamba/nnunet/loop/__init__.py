"""The training loop: batches by place, steps, checkpoints, several processes, and what can go wrong."""
