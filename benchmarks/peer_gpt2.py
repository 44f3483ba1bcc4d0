"""Times GPT-2 of the same body on PyTorch: a training step, and an environment step with its key/value cache.

It gets the same numbers of tokens, random ids and no pictures, which spares it the patch stem. Runs in an
environment of its own, see `requirements.txt`. Started by `bench.py`, which pins it to one core.

Each measurement is made twice: the way the library is used out of the box, where every position (training) or the
whole vocabulary (acting) meets the output matrix, and with the same economy as ours, which it does not have by itself.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any

import body
import torch
import transformers
from timing import hand_over, summary, time_call, time_calls
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

PEAK_LR, BETAS, WEIGHT_DECAY, CLIP_NORM = 1e-4, (0.9, 0.95), 0.1, 1.0
WARMUP_STEPS = 3  # environment steps


def make_model() -> GPT2LMHeadModel:
    """Random weights, no dropout."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=body.VOCAB_SIZE,
            n_positions=body.CONTEXT_LENGTH,
            n_embd=body.WIDTH,
            n_layer=body.NUM_LAYERS,
            n_head=body.NUM_HEADS,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            attn_implementation="sdpa",
        )
    )


def head(model: GPT2LMHeadModel, hidden: torch.Tensor, num_rows: int = body.VOCAB_SIZE) -> torch.Tensor:
    """Scores of the first `num_rows` ids; every stretch of the table costs the same."""
    return hidden @ model.lm_head.weight[:num_rows].T


def measure_training(task: body.Task, *, warmup: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Rows are as long as their timesteps: nothing is padded."""
    num_tokens = task.timesteps_a_row * task.tokens
    tokens = torch.randint(body.VOCAB_SIZE, (body.ROWS, num_tokens))
    is_target = (torch.arange(num_tokens) % task.tokens > task.observation_tokens).repeat(body.ROWS, 1)
    is_target[:, 0] = False

    def loss_everywhere(model: GPT2LMHeadModel) -> torch.Tensor:
        return model(tokens, labels=torch.where(is_target, tokens, -100)).loss

    def loss_at_targets(model: GPT2LMHeadModel) -> torch.Tensor:
        hidden = model.transformer(tokens, use_cache=False).last_hidden_state
        logits = head(model, hidden[:, :-1][is_target[:, 1:]])
        return torch.nn.functional.cross_entropy(logits, tokens[is_target])

    for variant, loss in (("head on all positions", loss_everywhere), ("head on targets", loss_at_targets)):
        model = make_model()
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=PEAK_LR, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True
        )

        def call(loss: Callable = loss, model: GPT2LMHeadModel = model, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            loss(model).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()

        yield {
            "measure": "train",
            "task": task.name,
            "variant": variant,
            "tokens": tokens.numel(),
            "timesteps": task.timesteps_a_row * body.ROWS,
            "targets": int(is_target.sum()),
            **summary(time_calls(call, warmup=warmup, repeats=repeats)),
        }


def act(model: GPT2LMHeadModel, cache: DynamicCache, chunk: torch.Tensor, num_actions: int, num_rows: int) -> None:
    """The last action token with the new observation in one call, then a call for each further action token."""
    tokens = chunk
    for _ in range(num_actions):
        hidden = model.transformer(tokens, past_key_values=cache, use_cache=True).last_hidden_state[:, -1]
        tokens = torch.multinomial(torch.softmax(head(model, hidden, num_rows), dim=-1), 1)
    tokens.tolist()  # the action reaches the environment


@torch.inference_mode()
def measure_acting(
    task: body.Task, num_envs: int, visible: int, measure: str, repeats: int
) -> Iterator[dict[str, Any]]:
    """Every timed step ends with `visible` tokens; the cache is cut back, untimed, before the next."""
    model = make_model().eval()
    before = visible - task.tokens - 1  # the last action token comes with the observation
    chunk = torch.randint(body.VOCAB_SIZE, (num_envs, task.observation_tokens + 1 + (before > 0)))
    for variant, num_rows in (("whole vocabulary", body.VOCAB_SIZE), ("legal ids", task.action_values)):
        cache = DynamicCache(config=model.config)
        if before > 0:
            model.transformer(torch.randint(body.VOCAB_SIZE, (num_envs, before)), past_key_values=cache, use_cache=True)
        timings = []
        for _ in range(WARMUP_STEPS + repeats):
            step = partial(act, model, cache, chunk, task.action_tokens, num_rows)
            timings.append(time_call(step))
            if before > 0:
                cache.crop(-task.tokens)
            else:
                cache = DynamicCache(config=model.config)
        yield {
            "measure": measure,
            "task": task.name,
            "variant": variant,
            "num_envs": num_envs,
            "visible": visible,
            **summary(timings[WARMUP_STEPS:]),
        }


def main() -> None:
    """Prints the cells of one task as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", choices=["train", "act"], required=True)
    parser.add_argument("--task", choices=body.TASKS, required=True)
    parser.add_argument("--warmup", type=int, default=2, help="training steps")
    parser.add_argument("--repeats", type=int, help="training steps (7), or environment steps (60)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    task = body.TASKS[options.task]
    if options.measure == "train":
        results = list(measure_training(task, warmup=options.warmup, repeats=options.repeats or 7))
    else:
        repeats, full = options.repeats or 60, task.timesteps_a_row * task.tokens
        results = [cell for num_envs in (1, 16) for cell in measure_acting(task, num_envs, full, "act", repeats)]
        for visible in (visible for visible in body.CURVE if visible % task.tokens == 0):
            results += measure_acting(task, 1, visible, "curve", max(1, repeats // 3))
    model = make_model()
    parameters = {
        "all": sum(leaf.numel() for leaf in model.parameters()),
        "blocks": sum(leaf.numel() for leaf in model.transformer.h.parameters()),
    }
    hand_over(parameters, {name: version(name) for name in ("torch", "transformers")}, results)


if __name__ == "__main__":
    main()
