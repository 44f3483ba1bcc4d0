"""From a Batch to logits, over whole rows or chunk by chunk over a cache."""
