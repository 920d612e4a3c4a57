# /// script
# requires-python = ">=3.11,<3.15"
# dependencies = ["gguf==0.19.0", "jax==0.10.2", "optax==0.2.8", "sentencepiece==0.2.3", "vadersentiment==3.3.2"]
# ///
"""Train the tiny model and write it as GGUF: `uv run --script train.py FILE`, with millrace on PYTHONPATH.

VADER is the teacher, so that it knows sentiment as far as that does: English, clear, short. Seeds are fixed; another
kind of processor may still round differently. About a minute on two cores.
"""

import io
import json
import random
import sys
from collections.abc import Iterator, Sequence

import corpus
import gguf
import jax
import network
import numpy as np
import sentencepiece

from millrace.sentiment.prompt import SCHEMA

SEED = 7
POSTS, HELD_OUT, STEPS, BATCH = 40_000, 600, 1_500, 32
LENGTH = 48  # tokens of prompt and answer in training; what is longer loses the end of the post
CONTEXT = 2048
PROMPT = "Post: {} Answer:"  # as the TEMPLATE of the Modelfile has it, which leaves the instruction out
FIELD, LABELS = next((name, field["enum"]) for name, field in SCHEMA["properties"].items())
TELL = 300  # steps between words of progress
GOOD_ENOUGH = 0.9  # of the posts held out

Posts = Sequence[tuple[str, str]]
Tokens = sentencepiece.SentencePieceProcessor


def main(file: str) -> None:
    """Make posts, a tokenizer for them and a network that labels them; raises SystemExit if it learned too little."""
    posts = corpus.posts(POSTS + HELD_OUT, random.Random(SEED))
    known, unknown = posts[HELD_OUT:], posts[:HELD_OUT]
    tokens = tokenizer(known)
    answers = {label: [*tokens.encode(answer(label)), tokens.eos_id()] for label in LABELS}
    place = _place(tokens, answers)
    length = len(next(iter(answers.values())))
    weights = network.train(network.initial(SEED), batches(tokens, answers, known), length, place, STEPS)
    write(file, tokens, weights)
    found = np.asarray(network.predictions(weights, encoded(tokens, answers, unknown), length))[:, place]
    choices = found[:, [answers[label][place] for label in LABELS]].argmax(1)
    right = np.mean([LABELS[choice] == label for choice, (_, label) in zip(choices, unknown, strict=True)])
    print(f"tiny model: it labels {right:.1%} of {HELD_OUT} unknown posts as VADER does", file=sys.stderr)
    if right < GOOD_ENOUGH:
        sys.exit("tiny model: that is too few")


def answer(label: str) -> str:
    """Return what the product's schema wants to be answered."""
    return json.dumps({FIELD: label})


def tokenizer(posts: Posts) -> Tokens:
    """Return a tokenizer of whole words where that may be; each label is one piece."""
    lines = [PROMPT.format(text) for text, _ in posts] + corpus.words() * 5 + [answer(each) for each in LABELS] * 400
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line.replace("\n", " ") for line in lines]), model_writer=model, model_type="bpe",
        vocab_size=network.VOCABULARY, byte_fallback=True, character_coverage=0.9995, split_digits=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False,
        unk_id=0, bos_id=1, eos_id=2, num_threads=1, minloglevel=2,
    )  # fmt: skip
    return Tokens(model_proto=model.getvalue())


def encoded(tokens: Tokens, answers: dict[str, list[int]], posts: Posts) -> network.Batch:
    """Return posts with their answers as a batch of the network."""
    last = tokens.encode(PROMPT.partition("{}")[2])
    rows = np.zeros((len(posts), LENGTH + 1), np.int32)
    places = np.zeros(len(posts), np.int32)
    for row, (text, label) in enumerate(posts):
        prompt = [tokens.bos_id(), *tokens.encode(PROMPT.format(text))]
        if (over := len(prompt) + len(answers[label]) - LENGTH - 1) > 0:
            prompt = [*prompt[: -over - len(last)], *last]
        rows[row, : len(prompt) + len(answers[label])] = prompt + answers[label]
        places[row] = len(prompt) - 1
    return jax.numpy.asarray(rows), jax.numpy.asarray(places)


def batches(tokens: Tokens, answers: dict[str, list[int]], posts: Posts) -> Iterator[network.Batch]:
    """Yield STEPS batches of posts, drawn by chance, and tell how far it is."""
    chance = random.Random(SEED)
    for step in range(STEPS):
        if step % TELL == 0:
            print(f"tiny model: step {step} of {STEPS}", file=sys.stderr)
        yield encoded(tokens, answers, chance.sample(posts, BATCH))


def write(file: str, tokens: Tokens, weights: network.Weights) -> None:
    """Write the model: matrices in half precision, the tokenizer as llama.cpp's SPM reads it."""
    out = gguf.GGUFWriter(file, "llama")
    out.add_name("millrace-tiny")
    out.add_vocab_size(network.VOCABULARY)
    out.add_context_length(CONTEXT)
    out.add_embedding_length(network.WIDTH)
    out.add_block_count(network.LAYERS)
    out.add_feed_forward_length(network.HIDDEN)
    out.add_head_count(network.HEADS)
    out.add_head_count_kv(network.HEADS)
    out.add_layer_norm_rms_eps(network.EPSILON)
    out.add_rope_dimension_count(network.HEAD)
    out.add_rope_freq_base(network.ROPE_BASE)
    out.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    pieces = range(network.VOCABULARY)
    out.add_tokenizer_model("llama")
    out.add_tokenizer_pre("default")
    out.add_token_list([tokens.id_to_piece(each).encode() for each in pieces])
    out.add_token_scores([tokens.get_score(each) for each in pieces])
    out.add_token_types([_kind(tokens, each) for each in pieces])
    out.add_unk_token_id(tokens.unk_id())
    out.add_bos_token_id(tokens.bos_id())
    out.add_eos_token_id(tokens.eos_id())
    out.add_add_bos_token(True)
    out.add_add_eos_token(False)
    out.add_add_space_prefix(False)
    for name, value in weights.items():
        out.add_tensor(f"{name}.weight", np.asarray(value, np.float16 if value.ndim > 1 else np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _kind(tokens: Tokens, piece: int) -> gguf.TokenType:
    kinds = {
        tokens.is_unknown: gguf.TokenType.UNKNOWN,
        tokens.is_control: gguf.TokenType.CONTROL,
        tokens.is_byte: gguf.TokenType.BYTE,
    }
    return next((kind for holds, kind in kinds.items() if holds(piece)), gguf.TokenType.NORMAL)


def _place(tokens: Tokens, answers: dict[str, list[int]]) -> int:
    """Return where in an answer the label's one token stands, which is all that answers differ in."""
    [place] = [place for place, found in enumerate(zip(*answers.values(), strict=True)) if len(set(found)) > 1]
    assert [tokens.id_to_piece(each[place]) for each in answers.values()] == list(answers), "a label of several tokens"
    return place


if __name__ == "__main__":
    main(*sys.argv[1:])
