"""ML-Decoder and Query2Label against their formulas, worked out from the weights."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from comptool.models.heads.ml_decoder import MlDecoder
from comptool.models.heads.query2label import FullDecoder, LightDecoder, sine_positions
from comptool.models.heads.query_heads import GroupLinear


def attention_by_hand(module, query, key, value):
    """Multi-head attention from its weights, head by head."""
    hidden, heads = module.embed_dim, module.num_heads
    projected = [
        functional.linear(x, w, b)
        for x, w, b in zip(
            (query, key, value),
            module.in_proj_weight.chunk(3),
            module.in_proj_bias.chunk(3),
            strict=True,
        )
    ]
    read = []
    for q, k, v in zip(*(x.chunk(heads, -1) for x in projected), strict=True):
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(hidden / heads), -1)
        read.append(weights @ v)
    return module.out_proj(torch.cat(read, -1))


def feed_forward_by_hand(module, x):
    return module[3](torch.relu(module[0](x)))


@torch.no_grad()
def test_the_ml_decoder_is_its_formula():
    torch.manual_seed(0)
    decoder = MlDecoder([5, 3], num_queries=4, dropout=0.1, learnable_queries=False).eval()
    for norm in decoder.norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    first, second = torch.randn(2, 5, 3, 2), torch.randn(2, 3, 2, 2)
    tokens = [first.flatten(2).mT, second.flatten(2).mT]
    memory = torch.cat(
        [torch.relu(p(t)) for p, t in zip(decoder.projections, tokens, strict=True)], 1
    )
    t = decoder.norms[0](2 * decoder.queries).expand(2, -1, -1)
    t = decoder.norms[1](t + attention_by_hand(decoder.attention, t, memory, memory))
    t = decoder.norms[2](t + feed_forward_by_hand(decoder.feed_forward, t))
    torch.testing.assert_close(decoder([first, second]), t, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_q2l_full_is_its_formula():
    torch.manual_seed(0)
    decoder = FullDecoder([5], num_queries=3, hidden=16, dropout=0.1).eval()
    features = torch.randn(2, 5, 3, 2)
    positions = sine_positions(features, 16)
    memory = decoder.projections[0](features.flatten(2).mT)
    targets = torch.zeros(2, 3, 16)
    (layer,) = decoder.encoder
    with_position = memory + positions
    read = attention_by_hand(layer.attention, with_position, with_position, memory)
    memory = layer.norms[0](memory + read)
    memory = layer.norms[1](memory + feed_forward_by_hand(layer.feed_forward, memory))
    for layer in decoder.decoder:
        keys = memory + positions
        read = attention_by_hand(layer.attention, targets + decoder.queries, keys, memory)
        targets = layer.norms[0](targets + read)
        targets = layer.norms[1](targets + feed_forward_by_hand(layer.feed_forward, targets))
    torch.testing.assert_close(decoder([features]), decoder.norm(targets), rtol=1e-4, atol=1e-5)


def test_sine_positions_are_their_formula():
    height, width, hidden = 3, 5, 16
    found = sine_positions(torch.zeros(1, 2, height, width), hidden)
    for y in range(height):
        for x in range(width):
            expected = []
            for place, length in ((y, height), (x, width)):
                angle = 2 * math.pi * (place + 1) / length
                for i in range(hidden // 2):
                    wave = angle / 10_000 ** (2 * (i // 2) / (hidden // 2))
                    expected.append(math.cos(wave) if i % 2 else math.sin(wave))
            torch.testing.assert_close(
                found[y * width + x], torch.tensor(expected), rtol=1e-4, atol=1e-5
            )


@torch.no_grad()
@pytest.mark.parametrize(
    ("decoder", "sees_places"),
    [
        (MlDecoder([5], num_queries=4, dropout=0.0, learnable_queries=True), False),
        (LightDecoder([5], num_queries=4, hidden=16, dropout=0.0), False),
        (FullDecoder([5], num_queries=4, hidden=16, dropout=0.0), True),
    ],
    ids=["ml-decoder", "q2l", "q2l-full"],
)
def test_only_the_full_q2l_sees_where_something_is(decoder, sees_places):
    decoder.eval()
    features = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    moved = features.flip(2).transpose(2, 3)
    same = torch.allclose(decoder([features]), decoder([moved]), atol=1e-4)
    assert same != sees_places


@settings(max_examples=20, deadline=None)
@given(num_queries=st.integers(1, 7), num_classes=st.integers(1, 20), seed=st.integers(0, 99))
def test_group_linear_is_a_linear_layer_per_query(num_queries, num_classes, seed):
    torch.manual_seed(seed)
    num_queries = min(num_queries, num_classes)
    layer = GroupLinear(num_queries, 3, num_classes)
    torch.nn.init.normal_(layer.bias)
    queries = torch.randn(2, num_queries, 3)
    per_query = math.ceil(num_classes / num_queries)
    for k in range(num_classes):
        q, f = divmod(k, per_query)
        expected = queries[:, q] @ layer.weight[q, :, f] + layer.bias[k]
        torch.testing.assert_close(layer(queries.flatten(1))[:, k], expected)
