"""What a training run shows: history, pictures, curves, boards, and the rehearsal before it."""
