"""Makes JAX strict for every test: implicit rank promotion raises, two virtual CPU devices."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
