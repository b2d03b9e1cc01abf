"""Token ids to batches: pure functions of (seed, epoch, index)."""
