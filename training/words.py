"""The words part of the policy: trained on the sentences alone, before everything else, in seconds.

A sentence comes in as the embedding of a frozen encoder; a linear layer says which object and which goal. What matters is that
it stays right for combinations and templates that it was not trained on. Left to itself it does not: as "push" never comes with a
"red cube" in training, it learns that a red cube speaks against pushing. So half of the training is on made-up embeddings in
which the object was exchanged: an embedding is nearly a sum of what its object and its goal contribute (fitted by least
squares to the training sentences), so that one contribution can be replaced by another. No sentence of a combination that was
left out is needed for that, nor used.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.model import Settings, Words

STEPS = 3000
BATCH = 128
NOISE = 0.5  # of the embedding scaled to mean square 1


def contributions(text: Tensor, objects: Tensor, goals: Tensor, settings: Settings) -> Tensor:
    """What each object adds to an embedding: [8, 384], by least squares over text [S, 384]."""
    design = torch.cat(
        [functional.one_hot(objects, settings.objects), functional.one_hot(goals, settings.goals)], dim=1
    ).double()  # fmt: skip
    # Least norm: the two halves share a constant.
    fit = torch.linalg.lstsq(design, text.double(), driver="gelsd").solution
    return fit[: settings.objects].float()


def train_words(text: Tensor, objects: Tensor, goals: Tensor, settings: Settings, seed: int, steps: int = STEPS) -> Words:
    """Fit the words part to embeddings [S, 384] and their classes [S]; the same seed gives the same weights."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # it is too small for two: on a busy machine they would wait for each other most of the time
    try:
        return _train_words(text, objects, goals, settings, seed, steps)
    finally:
        torch.set_num_threads(threads)


def _train_words(text: Tensor, objects: Tensor, goals: Tensor, settings: Settings, seed: int, steps: int) -> Words:
    generator = torch.Generator().manual_seed(seed)
    words = Words(settings)
    torch.nn.init.zeros_(words.classes.weight)
    torch.nn.init.zeros_(words.classes.bias)
    adds = contributions(text, objects, goals, settings)
    optimizer = torch.optim.AdamW(words.parameters(), lr=2e-3, weight_decay=1e-4)
    for step in range(steps):
        rows = torch.randint(len(text), (BATCH,), generator=generator)
        other = torch.randint(settings.objects, (BATCH,), generator=generator)
        real = text[rows]
        made = functional.normalize(real - adds[objects[rows]] + adds[other], dim=1)
        inputs = torch.cat([real, made])
        inputs = inputs + NOISE / words.scale * torch.randn(inputs.shape, generator=generator)
        object_logits, goal_logits = words.raw(inputs)
        loss = functional.cross_entropy(object_logits, torch.cat([objects[rows], other]))
        loss = loss + functional.cross_entropy(goal_logits, goals[rows].repeat(2))
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1.0 - step / steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return words


@torch.no_grad()
def accuracy(words: Words, text: Tensor, objects: Tensor, goals: Tensor) -> tuple[float, float]:
    """Share of the sentences whose object, and whose goal, is told rightly."""
    object_logits, goal_logits = words(text)
    right = [(logits.argmax(dim=1) == truth).float().mean().item() for logits, truth in ((object_logits, objects), (goal_logits, goals))]
    return right[0], right[1]


def cross_validate(text: Tensor, objects: Tensor, goals: Tensor, settings: Settings, seed: int, folds: int = 3) -> dict[str, float]:
    """How right it is on combinations it was not shown, one of each object's at a time, out of those in training.

    Harder than the benchmark's `novel`: each object is left with two goals out of four.
    """
    found = []
    for fold in range(folds):
        left_out = torch.zeros(len(text), dtype=torch.bool)
        for which in range(settings.objects):
            own = np.unique(goals[objects == which].numpy())
            if len(own) > 1:
                left_out |= (objects == which) & (goals == int(own[(fold + which) % len(own)]))
        kept = ~left_out
        words = train_words(text[kept], objects[kept], goals[kept], settings, seed, STEPS // 2)
        found.append(accuracy(words, text[left_out], objects[left_out], goals[left_out]))
    return {"object": float(np.mean([row[0] for row in found])), "goal": float(np.mean([row[1] for row in found]))}
