"""From a Batch to logits."""
