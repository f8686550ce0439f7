"""Token-correlated routing made by a call, with what is true of it known.

Token IDs have Zipf's frequencies and belong to topics. In each MoE layer the gate's scores of a
token are its own part, by its ID, and a part of the topic of the token that it pays most attention
to. Experts are drawn in proportion to the exponentials of the scores; of two, the second among the
others. As topics are few, the probability of an expert given the token ID alone is a short sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from moeopt.core.arguments import number, whole
from moeopt.core.arrays import (
    FloatArray,
    IntArray,
    numbers_of,
    require_finite_nonnegative,
    require_shape,
)
from moeopt.core.errors import InstanceError
from moeopt.traces.trace import RoutingTrace

#: Whom tokens pay attention to: any token as often as it occurs, or every ID of the vocabulary
#: equally often, as in a profile that is made to measure.
Attention = Literal["unigram", "even"]

_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class TokenRouting:
    """A router that knows token IDs and topics.

    Attributes
    ----------
    frequency
        Frequency of each token ID where all topics are equally common, ``(vocabulary,)``.
    topic
        Topic of each token ID, ``(vocabulary,)``.
    token_score
        Scores by token ID, ``(layers, vocabulary, experts)``.
    topic_score
        Scores by the topic paid attention to, ``(layers, topics, experts)``.
    top_k
        Experts of a token: 1 or 2.
    """

    frequency: FloatArray
    topic: IntArray
    token_score: FloatArray
    topic_score: FloatArray
    top_k: int

    @property
    def num_layers(self) -> int:
        """Number of MoE layers."""
        return int(self.token_score.shape[0])

    @property
    def num_experts(self) -> int:
        """Number of experts of each layer."""
        return int(self.token_score.shape[2])

    @property
    def num_topics(self) -> int:
        """Number of topics."""
        return int(self.topic_score.shape[1])

    def token_share(self, topics: FloatArray | None = None) -> FloatArray:
        """Return the share of each token ID in a text, ``(vocabulary,)``.

        Parameters
        ----------
        topics
            How common each topic is, ``(topics,)``; equally if left out.

        Raises
        ------
        InstanceError
            If it is not one weight for each topic, finite and >= 0, or no token ID is left.
        """
        weight = np.ones(self.num_topics) if topics is None else numbers_of(topics, "topics")
        require_shape(weight, "topics", (self.num_topics,), "topics")
        require_finite_nonnegative(weight, "topics")
        common = self.frequency * (weight / max(weight.max(), _TINY))[self.topic]
        if not common.sum() > 0:
            raise InstanceError(
                "topics", "<all 0>", "must leave a topic that token IDs have", "raise a weight"
            )
        share: FloatArray = common / common.sum()
        return share

    def draw(
        self,
        tokens: int,
        seed: int,
        topics: FloatArray | None = None,
        attention: Attention = "unigram",
    ) -> RoutingTrace:
        """Return a text and where its tokens went.

        Parameters
        ----------
        tokens
            How many.
        seed
            Of the draw.
        topics
            How common each topic is, ``(topics,)``; equally if left out.
        attention
            Whom tokens pay attention to, independently in each layer.

        Raises
        ------
        InstanceError
            If `tokens` or `seed` is negative, or `topics` or `attention` cannot be.
        """
        if attention not in get_args(Attention):
            raise InstanceError("attention", attention, "must be unigram or even", "choose one")
        rng = np.random.default_rng([_at_least("seed", seed, 0), 1])
        share = self.token_share(topics)
        size = (_at_least("tokens", tokens, 0), self.num_layers)
        token_ids = rng.choice(share.size, size[0], p=share).astype(np.int32)
        if attention == "even":
            attention_ids = rng.integers(share.size, size=size, dtype=np.int32)
        else:
            attention_ids = rng.choice(share.size, size, p=share).astype(np.int32)
        expert_ids = np.empty((*size, self.top_k), dtype=np.int16)
        for layer in range(self.num_layers):
            score = self.token_score[layer][token_ids]
            score += self.topic_score[layer][self.topic[attention_ids[:, layer]]]
            # The largest of scores with Gumbel noise are drawn by the exponentials of the scores.
            score -= np.log(rng.standard_exponential(score.shape))
            for place in range(self.top_k):
                best = score.argmax(axis=1)
                expert_ids[:, layer, place] = best
                np.put_along_axis(score, best[:, None], -np.inf, axis=1)
        return RoutingTrace(
            expert_ids=expert_ids,
            token_ids=token_ids,
            attention_ids=attention_ids,
            experts=self.num_experts,
        )

    def true_shares(
        self, token_ids: IntArray, topics: FloatArray | None = None
    ) -> tuple[FloatArray, ...]:
        """Return each expert's share of a token's choices given its ID, ``(tokens, experts)``.

        For each layer, with attention by ``"unigram"``.

        Parameters
        ----------
        token_ids
            Shape ``(tokens,)``.
        topics
            How common each topic is, ``(topics,)``; equally if left out.
        """
        share = self.token_share(topics)
        attended = np.bincount(self.topic, share, minlength=self.num_topics)
        found = []
        for layer in range(self.num_layers):
            known = np.zeros((token_ids.size, self.num_experts))
            for topic, weight in enumerate(attended):
                score = self.token_score[layer][token_ids] + self.topic_score[layer][topic]
                known += weight * _choices(score, self.top_k)
            found.append(known / self.top_k)
        return tuple(found)


def token_routing(
    experts: int,
    *,
    layers: int = 12,
    top_k: int = 1,
    vocabulary: int = 5000,
    topics: int = 16,
    zipf: float = 1.0,
    skew: float = 0.5,
    token_effect: float = 1.5,
    attention_effect: float = 1.5,
    seed: int = 0,
) -> TokenRouting:
    """Return a router with scores drawn at random.

    Parameters
    ----------
    experts, layers, top_k
        Of the model; `top_k` is 1 or 2.
    vocabulary
        Number of token IDs.
    topics
        Number of topics, dealt to token IDs at random.
    zipf
        The token ID of rank ``n`` has a frequency of about ``1 / n**zipf``.
    skew
        Standard deviation of the scores of experts, the same for all tokens.
    token_effect, attention_effect
        Standard deviation of the scores by token ID and by topic paid attention to.
    seed
        Of the draw.

    Raises
    ------
    InstanceError
        If `top_k` is not 1 or 2, there are too few experts, layers, token IDs or topics, or
        another number is negative or not finite.
    """
    if whole("top_k", top_k) not in (1, 2):
        raise InstanceError("top_k", top_k, "must be 1 or 2", "the truth is known for these")
    if whole("experts", experts) <= top_k:
        raise InstanceError("experts", experts, f"must be more than {top_k}", "add experts")
    for name, size in (("layers", layers), ("vocabulary", vocabulary), ("topics", topics)):
        _at_least(name, size, 1)
    rng = np.random.default_rng([_at_least("seed", seed, 0), 0])
    common = _finite("skew", skew) * rng.standard_normal((layers, 1, experts))
    own = _finite("token_effect", token_effect) * rng.standard_normal((layers, vocabulary, experts))
    shared = _finite("attention_effect", attention_effect)
    frequency = np.arange(1.0, vocabulary + 1) ** -_finite("zipf", zipf)
    return TokenRouting(
        frequency=frequency / frequency.sum(),
        topic=rng.integers(topics, size=vocabulary),
        token_score=common + own,
        topic_score=shared * rng.standard_normal((layers, topics, experts)),
        top_k=top_k,
    )


def _at_least(name: str, value: int, least: int) -> int:
    if whole(name, value) < least:
        raise InstanceError(name, value, f"must be at least {least}", "correct it")
    return value


def _finite(name: str, value: float) -> float:
    if not 0 <= number(name, value) < np.inf:
        raise InstanceError(name, value, "must be finite and >= 0", "1 is usual")
    return value


def _choices(score: FloatArray, top_k: int) -> FloatArray:
    """Return the probability that each expert is among those drawn, ``(tokens, experts)``."""
    first: FloatArray = np.exp(score - score.max(axis=1, keepdims=True))
    first /= first.sum(axis=1, keepdims=True)
    if top_k == 1:
        return first
    # Second after another one: p_i times the sum over j of p_j / (1 - p_j), itself left out.
    others = first / np.maximum(1.0 - first, np.finfo(np.float64).tiny)
    first += first * (others.sum(axis=1, keepdims=True) - others)
    return first
