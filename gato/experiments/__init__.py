"""Joins the agent with tasks and data: training, evaluation, recording, baselines, prompt ablation, few-shot runs."""
