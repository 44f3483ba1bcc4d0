"""The `gato` command: the one room that joins the agent and the environments."""
