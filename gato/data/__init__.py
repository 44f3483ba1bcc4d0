"""Where sequences come from: sources, prompts, windows and their mixture."""
