"""A Llama of two layers and 600,000 parameters, in JAX: as llama.cpp computes it, and under GGUF's names."""

from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
import optax

VOCABULARY, WIDTH, LAYERS, HEADS, HIDDEN = 4096, 96, 2, 3, 256
HEAD = WIDTH // HEADS
ROPE_BASE, EPSILON = 10_000.0, 1e-5
LABEL_WEIGHT = 6.0  # of the label's token among those of the answer: the others are always the same
PEAK, WARMING = 2e-3, 60  # learning rate, and the steps until it is reached

Weights = dict[str, jax.Array]
Batch = tuple[jax.Array, jax.Array]  # tokens (posts, length), the place of each prompt's last token (posts,)


def initial(seed: int) -> Weights:
    """Return random weights; matrices are (outputs, inputs), as GGUF has them. The embedding is the output, too."""
    keys = iter(jax.random.split(jax.random.key(seed), 64))
    shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
    shapes |= {"ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH), "ffn_down": (WIDTH, HIDDEN)}
    weights = {"token_embd": jax.random.normal(next(keys), (VOCABULARY, WIDTH)) * 0.05, "output_norm": jnp.ones(WIDTH)}
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            weights[f"blk.{layer}.{name}"] = jax.random.normal(next(keys), shape) * shape[1] ** -0.5
        weights |= {f"blk.{layer}.{name}": jnp.ones(WIDTH) for name in ("attn_norm", "ffn_norm")}
    return weights


def train(weights: Weights, batches: Iterable[Batch], answer: int, label: int, steps: int) -> Weights:
    """Return the weights after `steps` batches, of whose answers (of `answer` tokens each) they predict each token.

    `label` is the place of the label's token within an answer.
    """
    rate = optax.warmup_cosine_decay_schedule(0.0, PEAK, WARMING, steps, PEAK / 20)
    matrices = {name: value.ndim > 1 for name, value in weights.items()}
    rule = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.98, weight_decay=0.01, mask=matrices))

    @jax.jit
    def step(weights: Weights, state: optax.OptState, batch: Batch) -> tuple[Weights, optax.OptState]:
        slopes = jax.grad(partial(_loss, answer=answer, label=label))(weights, batch)
        changes, state = rule.update(slopes, state, weights)
        return optax.apply_updates(weights, changes), state

    state = rule.init(weights)
    for batch in batches:
        weights, state = step(weights, state, batch)
    return weights


@partial(jax.jit, static_argnames="answer")
def predictions(weights: Weights, batch: Batch, answer: int) -> jax.Array:
    """Return the logarithm of each token's probability, (posts, answer, vocabulary), at each place of the answers."""
    tokens, last = batch
    hidden = _hidden(weights, tokens[:, :-1])
    at = last[:, None] + jnp.arange(answer)
    return jax.nn.log_softmax(jnp.take_along_axis(hidden, at[..., None], 1) @ weights["token_embd"].T)


def _loss(weights: Weights, batch: Batch, answer: int, label: int) -> jax.Array:
    tokens, last = batch
    right = jnp.take_along_axis(tokens, last[:, None] + 1 + jnp.arange(answer), 1)
    told = jnp.take_along_axis(predictions(weights, batch, answer), right[..., None], 2)[..., 0]
    weight = jnp.ones(answer).at[label].set(LABEL_WEIGHT)
    return -(told * weight).sum() / (weight.sum() * len(tokens))


def _hidden(weights: Weights, tokens: jax.Array) -> jax.Array:
    state = weights["token_embd"][tokens]
    for layer in range(LAYERS):
        part = {name.rpartition(".")[2]: value for name, value in weights.items() if name.startswith(f"blk.{layer}.")}
        state += _attention(part, _normal(state, part["attn_norm"]))
        inner = _normal(state, part["ffn_norm"])
        state += (jax.nn.silu(inner @ part["ffn_gate"].T) * (inner @ part["ffn_up"].T)) @ part["ffn_down"].T
    return _normal(state, weights["output_norm"])


def _attention(part: Weights, state: jax.Array) -> jax.Array:
    query, key, value = (
        (state @ part[f"attn_{name}"].T).reshape(*state.shape[:2], HEADS, HEAD) for name in ("q", "k", "v")
    )
    mixed = jax.nn.dot_product_attention(_turned(query), _turned(key), value, is_causal=True)
    return mixed.reshape(state.shape) @ part["attn_output"].T


def _turned(vectors: jax.Array) -> jax.Array:
    """Turn each pair of neighbours by its place (rotary embedding), as llama.cpp does for Llama."""
    angles = jnp.arange(vectors.shape[1])[:, None] * ROPE_BASE ** (-jnp.arange(0, HEAD, 2) / HEAD)
    cosine, sine = jnp.cos(angles)[None, :, None], jnp.sin(angles)[None, :, None]
    even, odd = vectors[..., 0::2], vectors[..., 1::2]
    return jnp.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).reshape(vectors.shape)


def _normal(state: jax.Array, scale: jax.Array) -> jax.Array:
    return state * jax.lax.rsqrt(jnp.mean(state**2, -1, keepdims=True) + EPSILON) * scale
