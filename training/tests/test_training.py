"""Batches, words, training and export, on a made-up data set."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from training import card, train
from training.data import Augmentation, Frames, Normalisation, to_guess
from training.export import PARITY, golden_run, write_graphs
from training.model import Settings
from training.words import accuracy, train_words


def arguments(cache: Path, run: Path, *more: str):
    """A run of twelve steps that takes seconds."""
    sizes = {"threads": 1, "batch": 8, "steps": 12, "every": 6, "validate-frames": 8}
    small = [part for name, value in sizes.items() for part in (f"--{name}", str(value))]
    return train.parser().parse_args(["--cache", str(cache), "--run", str(run), *small, "--no-compile", "--no-bf16", *more])


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of a run."""
    return torch.load(run / "checkpoint.pt", weights_only=True)["average"]


def test_normalisation_is_undone_by_its_inverse():
    values = np.random.default_rng(0).normal([1.0, -3.0, 0.0], [0.1, 5.0, 0.0], (50, 3)).astype(np.float32)
    norm = Normalisation.of(values, 1e-3)
    there = norm.forward(torch.from_numpy(values))
    torch.testing.assert_close(norm.inverse(there), torch.from_numpy(values), atol=1e-5, rtol=1e-5)
    assert there[:, :2].std(dim=0) == pytest.approx([1.0, 1.0], rel=0.05)
    again = Normalisation.from_dict(json.loads(json.dumps(norm.as_dict())))
    torch.testing.assert_close(again.forward(torch.from_numpy(values)), there)


def test_every_frame_gets_a_sentence_that_asks_for_what_it_shows(cache: Path):
    frames = Frames(cache, 0, 0.2)
    rows = torch.arange(len(frames.states))
    batch = frames.batch(rows, torch.Generator().manual_seed(1))
    which = (batch.text[:, None] == frames.text[None]).all(dim=2).float().argmax(dim=1)
    assert (frames.text_object[which] == frames.object).all()
    assert (frames.text_goal[which] == frames.goal).all()
    assert (which != frames.sentence).any()
    torch.testing.assert_close(frames.batch(rows).text, frames.text[frames.sentence])


def test_episodes_are_either_trained_on_or_held_out(cache: Path):
    frames = Frames(cache, 0, 0.2)
    trained, held = (set(frames.episode[rows].tolist()) for rows in (frames.train_rows, frames.held_rows))
    assert trained
    assert held
    assert not trained & held
    assert len(frames.train_rows) + len(frames.held_rows) == len(frames.states)


def test_augmentation_keeps_pictures_in_range_and_repeats_by_its_seed(cache: Path):
    frames = Frames(cache, 0, 0.2)
    augment = Augmentation((72, 96), (48, 64), 0)
    batches = [frames.batch(torch.arange(16)) for _ in range(3)]
    for batch, seed in zip(batches[:2], (5, 5), strict=True):
        augment(batch, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(batches[0].front, batches[1].front, rtol=0, atol=0)
    for before, after in ((batches[2].front, batches[0].front), (batches[2].wrist, batches[0].wrist)):
        assert after.shape == before.shape
        assert after.abs().max() <= 1.0
        assert 0.01 < (after - before).abs().mean() < 0.3


def test_words_tell_object_and_goal_of_combinations_that_were_left_out():
    generator = torch.Generator().manual_seed(0)
    settings = Settings()
    objects, goals = torch.arange(8).repeat_interleave(40), torch.arange(4).repeat(80)
    text = 0.6 * torch.randn(8, 384, generator=generator)[objects] + torch.randn(4, 384, generator=generator)[goals]
    text = torch.nn.functional.normalize(text + 0.5 * torch.randn(text.shape, generator=generator), dim=1)
    left_out = objects % 4 == goals
    kept = ~left_out
    words = train_words(text[kept], objects[kept], goals[kept], settings, 0, 400)
    assert min(accuracy(words, text[left_out], objects[left_out], goals[left_out])) > 0.95


def test_a_run_that_was_interrupted_and_resumed_ends_in_the_same_weights(cache: Path, tmp_path: Path):
    assert train.train(arguments(cache, tmp_path / "whole"))
    assert not train.train(arguments(cache, tmp_path / "parts", "--pause-at", "5"))
    assert train.train(arguments(cache, tmp_path / "parts", "--resume"))
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    steps = [row["step"] for row in card.log_rows(tmp_path / "parts")]
    assert steps == sorted(steps)
    assert steps[-1] == 12
    # And another seed does not.
    train.train(arguments(cache, tmp_path / "other", "--seed", "1"))
    assert not torch.equal(weights(tmp_path / "other")["flow.leave.weight"], whole["flow.leave.weight"])


def test_a_checkpoint_of_other_terms_is_not_gone_on_with(cache: Path, tmp_path: Path):
    train.train(arguments(cache, tmp_path, "--pause-at", "1"))
    with pytest.raises(SystemExit, match="another run"):
        train.train(arguments(cache, tmp_path, "--resume", "--learning-rate", "0.1"))


def test_the_graphs_of_an_untrained_policy_repeat_torch(cache: Path, tmp_path: Path):
    frames = Frames(cache, 0, 0.2)
    policy = train.network(frames, 0).eval()
    info = {"state_norm": frames.state_norm.as_dict(), "action_norm": frames.action_norm.as_dict()}
    for noise_scale in (0.0, 1.0):
        golden = golden_run(policy, info, frames, torch.tensor([3]), noise_scale)
        parity, _ = write_graphs(policy, golden, tmp_path)
        assert parity <= PARITY


def test_the_network_knows_where_the_tool_is(cache: Path):
    frames = Frames(cache, 0, 0.2)
    encoder = train.network(frames, 0).encoder
    batch = frames.batch(torch.arange(5))
    tool = batch.state[:, -3:] * encoder.tool_scale + encoder.tool_shift
    torch.testing.assert_close(tool, to_guess(frames.states[:5, 8:]), atol=1e-4, rtol=1e-4)


def test_the_card_states_rates_with_intervals_by_split_and_kind(tmp_path: Path):
    assert card.wilson(485, 500) == pytest.approx((0.951, 0.982), abs=5e-4)
    outcomes = [{"kind": "put", "success": True}] * 3 + [{"kind": "push", "success": False}]
    run = {"split": "novel", "control": None, "how": "in-process", "episodes": 4, "successes": 3, "outcomes": outcomes}
    control = {**run, "control": "shuffled", "successes": 0}
    file = tmp_path / "eval.json"
    file.write_text(json.dumps({"command": "", "runs": [run, control], "comparisons": []}))
    text = card.evaluation_text([file])
    assert "| novel | - | in-process | 3 of 4 | 75.0 % | 30.1 to 95.4 % |" in text
    assert "| novel | shuffled | in-process | 0 of 4 |" in text
    assert "| novel | put | 3 of 3 | 100.0 % |" in text
    assert card.evaluation_text([]).startswith("Not evaluated")


def test_a_card_that_is_there_is_filled_in_from_an_evaluation(tmp_path: Path):
    whole = "# name\n\nHead.\n\n## In closed loop\n\nNot evaluated yet.\n\n## What it cannot do\n\n- Much.\n"
    (tmp_path / "README.md").write_text(whole)
    report = {"split": "heldout", "control": None, "how": "in-process", "episodes": 4, "successes": 3, "outcomes": []}
    file = tmp_path / "eval.json"
    file.write_text(json.dumps({"command": "", "runs": [report], "comparisons": []}))
    card.fill(tmp_path, [file])
    once = (tmp_path / "README.md").read_text()
    assert "| heldout | - | in-process | 3 of 4 | 75.0 % |" in once
    assert "Not evaluated" not in once
    assert once.startswith("# name\n\nHead.\n\n## In closed loop\n\n")
    assert once.endswith("\n\n## What it cannot do\n\n- Much.\n")
    card.fill(tmp_path, [file])
    assert (tmp_path / "README.md").read_text() == once
    (tmp_path / "README.md").write_text("# name\n")
    with pytest.raises(SystemExit, match="no sections"):
        card.fill(tmp_path, [file])
