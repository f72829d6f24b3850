"""Heads on a frozen encoder: samplers, tokens, the cache of keys and values, training and export, on a made-up data set."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from training import card, contexts, diffusion, export_head, heads, tokens, train_head
from training.contexts import ENCODER, Contexts, Package
from training.data import Frames
from training.diffusion import Sampler
from training.export import PARITY
from training.heads import FAMILIES, HeadSettings


def arguments(family: str, cache: Path, run: Path, *more: str):
    """A run of twelve steps that takes seconds."""
    sizes = {"batch": 8, "steps": 12, "every": 6, "validate-frames": 8, "width": 32, "hidden": 32, "blocks": 2, "held-out": 0.2}
    small = [part for name, value in sizes.items() for part in (f"--{name}", str(value))]
    return train_head.parse(["--family", family, "--cache", str(cache), "--run", str(run), *small, *more])


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of a run."""
    return torch.load(run / "checkpoint.pt", weights_only=True)["average"]


def levels(steps: int) -> tuple[list[float], list[float]]:
    """Betas and abars of the cosine schedule, written out number by number."""
    betas, abars, product = [], [], 1.0
    for k in range(steps):
        before, after = (math.cos((u / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for u in (k, k + 1))
        betas.append(min(1 - after / before, 0.999))
        product *= 1 - betas[-1]
        abars.append(product)
    return betas, abars


def toy(x: list[float], t: float) -> list[float]:
    """What stands in for a network: something of x and t."""
    return [math.sin(1.3 * v + 0.2 * t) for v in x]


def slow_sample(sampler: Sampler, noise: list[list[float]]) -> list[float]:
    """The sampling loop on plain numbers, as docs/policy_package.md describes it."""
    betas, abars = levels(sampler.train_steps)
    times = sorted({math.floor(i * sampler.train_steps / sampler.steps) for i in range(sampler.steps)}, reverse=True)
    x = list(noise[0])
    for number, t in enumerate(times):
        out = toy(x, t)
        for i, value in enumerate(x):
            signal, spread = math.sqrt(abars[t]), math.sqrt(1 - abars[t])
            if sampler.prediction == "sample":
                eps = (value - signal * out[i]) / spread
            elif sampler.prediction == "velocity":
                eps = signal * out[i] + spread * value
            else:
                eps = out[i]
            if sampler.scheduler == "ddpm":
                a = 1 - betas[t]
                value = (value - (1 - a) / spread * eps) / math.sqrt(a)
                if t > 0:
                    value += math.sqrt(betas[t]) * noise[number + 1][i]
                x[i] = max(-sampler.clip, min(sampler.clip, value))
            else:
                clean = max(-sampler.clip, min(sampler.clip, (value - spread * eps) / signal))
                eps = (value - signal * clean) / spread
                following = abars[times[number + 1]] if number + 1 < len(times) else 1.0
                x[i] = math.sqrt(following) * clean + math.sqrt(1 - following) * eps
    return x


@pytest.mark.parametrize("prediction", diffusion.PREDICTIONS)
@pytest.mark.parametrize(("scheduler", "steps"), [("ddpm", 20), ("ddim", 20), ("ddim", 7)])
def test_sampling_is_what_the_formulas_say(scheduler: str, steps: int, prediction: str):
    sampler = Sampler(scheduler=scheduler, steps=steps, prediction=prediction)
    noise = torch.randn(sampler.draws(), 1, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = diffusion.sample(sampler, lambda x, t: torch.sin(1.3 * x + 0.2 * t.double()), noise)
    wanted = slow_sample(sampler, noise[:, 0].tolist())
    assert found[0].tolist() == pytest.approx(wanted, abs=1e-9)
    assert sampler.draws() == (20 if scheduler == "ddpm" else 1)


def test_a_head_that_knows_the_chunk_is_sampled_to_it():
    betas = diffusion.cosine_betas(20)
    abar = (1.0 - betas).cumprod(0)
    assert betas.tolist() == pytest.approx(levels(20)[0], abs=1e-12)
    truth = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64)

    def noise_in(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        level = abar[int(t)]
        return (x - level.sqrt() * truth) / (1.0 - level).sqrt()

    for scheduler in diffusion.SCHEDULERS:
        sampler = Sampler(scheduler=scheduler)
        noise = torch.randn(sampler.draws(), 1, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(diffusion.sample(sampler, noise_in, noise), truth, atol=1e-9, rtol=0)


def test_the_diffusion_head_gives_the_noise_that_belongs_to_its_clean_chunk():
    head = heads.DiffusionHead(HeadSettings("diffusion", width=16, hidden=16, blocks=1))
    x, context, t = torch.randn(3, 16, 4), torch.randn(3, 256), torch.tensor([0.0, 7.0, 19.0])
    abar = torch.tensor(levels(20)[1])[t.long()][:, None, None].float()
    noise = head(x, t, context)
    torch.testing.assert_close(abar.sqrt() * head.clean(x, t, context) + (1 - abar).sqrt() * noise, x, atol=1e-5, rtol=1e-5)


def test_what_a_runtime_would_refuse_is_refused():
    for wrong in ({"scheduler": "euler"}, {"prediction": "x"}, {"schedule": "linear"}, {"steps": 10}):
        with pytest.raises(ValueError, match=r"no such|every step"):
            Sampler(**wrong)


def test_tokens_are_read_back_to_half_a_bin():
    values = torch.linspace(-1.0, 1.0, 1001)
    ids = tokens.encode(values)
    assert ids.min() >= tokens.VOCAB - 256
    assert ids.max() == tokens.VOCAB - 1
    assert (tokens.decode(ids) - values).abs().max() <= 1.0 / 255 + 1e-6
    # Beyond the ends is the end.
    assert (tokens.encode(torch.tensor([-3.0, 3.0])) == tokens.encode(torch.tensor([-1.0, 1.0]))).all()


def test_tokens_are_those_of_openvla():
    """Its `ActionTokenizer`, by numpy."""
    values = np.random.default_rng(0).uniform(-1.2, 1.2, 500)
    bins = np.linspace(-1, 1, 256)
    centres = (bins[:-1] + bins[1:]) / 2.0
    ids = tokens.VOCAB - np.digitize(np.clip(values, -1, 1), bins)
    read = centres[np.clip(tokens.VOCAB - ids - 1, 0, centres.shape[0] - 1)]
    assert tokens.encode(torch.from_numpy(values)).tolist() == ids.tolist()
    np.testing.assert_allclose(tokens.decode(torch.from_numpy(ids)).numpy(), read, atol=1e-7)


def test_quantiles_go_there_and_back():
    actions = torch.randn(40, 6, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.1, 1.0, 0.01, 5.0])
    norm = tokens.Quantiles.of(actions, 0.0)
    there = norm.forward(actions)
    assert there.amin(dim=(0, 1)).tolist() == pytest.approx([-1.0] * 4)
    assert there.amax(dim=(0, 1)).tolist() == pytest.approx([1.0] * 4)
    again = tokens.Quantiles.from_dict(json.loads(json.dumps(norm.as_dict())))
    torch.testing.assert_close(again.inverse(there), actions, atol=1e-5, rtol=1e-5)
    narrow = tokens.Quantiles.of(actions, 0.1).forward(actions).abs()
    assert 0.15 < (narrow > 1.0).float().mean() < 0.25


def test_only_action_tokens_are_chosen():
    logits = torch.zeros(2, 1, tokens.VOCAB)
    logits[:, :, tokens.FIRST] = 9.0
    logits[:, :, 17] = 1.0
    assert tokens.best(logits).tolist() == [[17], [17]]


def stirred(settings: HeadSettings) -> torch.nn.Module:
    """A head with weights in the layers that start at zero, too."""
    torch.manual_seed(5)
    head = heads.build(settings).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
        # So that what is said depends on what was said before, and where.
        if isinstance(head, heads.TokenHead):
            head.words.weight.mul_(20.0)
            head.places.weight.mul_(20.0)
    return head


def test_the_cache_of_keys_and_values_repeats_the_whole_sequence_over_fifty_tokens(tmp_path: Path):
    head = stirred(HeadSettings("action_tokens", horizon=6, width=32, hidden=48, blocks=2))
    context = torch.randn(1, 256, generator=torch.Generator().manual_seed(1))
    said = head.generate(context, 50)
    whole = head(torch.cat([torch.full((1, 1), tokens.FIRST), said[:, :-1]], dim=1), context)
    assert tokens.best(whole).tolist() == said.tolist()
    assert len(set(said[0].tolist())) > 5
    export_head.export_decode(head, tmp_path / "decode.onnx")
    decode = contexts.session(tmp_path / "decode.onnx")
    ids, logits = export_head.run_tokens(decode, head, context.numpy(), 50)
    assert ids == said[0].tolist()
    assert np.abs(logits - whole[0].detach().numpy()).max() <= 1e-4
    assert export_head.long_parity(decode, head, context) <= PARITY


@pytest.fixture(scope="session")
def known(cache: Path) -> Path:
    """The cache with contexts."""
    contexts.compute(cache, Package.read(ENCODER))
    return cache


def test_contexts_are_those_of_the_encoder_and_split_as_the_frames(known: Path):
    package = Package.read(ENCODER)
    frames, data = Frames(known, 0, 0.2), Contexts(known, package, 0, 0.2)
    assert data.train_rows.tolist() == frames.train_rows.tolist()
    row = torch.tensor([33])
    inputs = contexts.observations(frames, row, frames.sentence[row], package)
    encode = contexts.session(package.graph("encode"))
    np.testing.assert_allclose(encode.run(None, inputs)[0], data.context[0, row].numpy(), atol=1e-6)
    torch.testing.assert_close(package.action_norm.inverse(data.actions), frames.actions, atol=1e-5, rtol=1e-5)
    # Contexts of another encoder are not taken for its own.
    other = Package(package.folder, package.manifest, package.state_norm, package.action_norm, "0" * 64)
    with pytest.raises(SystemExit, match="another encoder"):
        Contexts(known, other, 0, 0.2)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_interrupted_run_of_a_head_ends_in_the_same_weights(known: Path, tmp_path: Path, family: str):
    assert train_head.train(arguments(family, known, tmp_path / "whole"))
    assert not train_head.train(arguments(family, known, tmp_path / "parts", "--pause-at", "5"))
    assert train_head.train(arguments(family, known, tmp_path / "parts", "--resume"))
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert [row["step"] for row in card.log_rows(tmp_path / "parts")][-1] == 12
    with pytest.raises(SystemExit, match="another run"):
        train_head.train(arguments(family, known, tmp_path / "parts", "--resume", "--learning-rate", "0.1"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_learns_and_its_package_repeats_it(known: Path, tmp_path: Path, family: str):
    run, out = tmp_path / "run", tmp_path / "package"
    train_head.train(arguments(family, known, run, "--steps", "120", "--every", "20", "--batch", "32", "--learning-rate", "0.003"))
    rows = card.log_rows(run)
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    export_head.export(export_head.parser().parse_args(["--run", str(run), "--out", str(out)]))
    document = yaml.safe_load((out / "policy.yaml").read_text())
    golden = json.loads((out / "golden.json").read_text())
    horizon = 6 if family == "action_tokens" else 16
    assert document["policy"]["family"] == family
    assert document["action"]["horizon"] == horizon
    assert len(golden["actions"]) == 4 * horizon
    assert len(golden["noise"]) == (20 * 64 if family == "diffusion" else 0)
    assert len(golden["context"]) == (0 if family == "chunk_regression" else 256)
    assert len(golden.get("tokens", [])) == (24 if family == "action_tokens" else 0)
    for graph in document["graphs"].values():
        assert graph["sha256"] == export_head.sha256(out / graph["file"])
    assert "Not evaluated yet" in (out / "README.md").read_text()


def test_a_graph_that_differs_is_not_exported(known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run, out = tmp_path / "run", tmp_path / "package"
    train_head.train(arguments("chunk_regression", known, run))
    honest = export_head.run_graphs

    def off(*parts):
        context, said, chunk = honest(*parts)
        return context, said, chunk + 2e-4

    monkeypatch.setattr(export_head, "run_graphs", off)
    with pytest.raises(SystemExit, match="differs from torch"):
        export_head.export(export_head.parser().parse_args(["--run", str(run), "--out", str(out)]))
    assert not out.exists()
