"""`gato info`: what a run's network weighs, costs and remembers, beside the paper's."""
