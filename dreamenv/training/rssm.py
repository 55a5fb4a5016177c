"""Training of an RSSM, in stages or jointly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal, get_args

import torch
from pydantic_core import to_jsonable_python
from torch import Tensor, nn

from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.ranges import Count, Settings, Share, Weight
from dreamenv.models.rssm.config import RSSMConfig
from dreamenv.models.rssm.model import RSSM, build_rssm
from dreamenv.recordings import Recording, record
from dreamenv.training.fit import FitConfig, Loss, Metrics, fit
from dreamenv.training.frames import colour_table, frames_of, pixel_errors, sample_frames, warn_of_collapse
from dreamenv.training.kinds import Trained, TrainingJob, WorldTraining, register_world_model
from dreamenv.training.rssm_loss import SequenceTraining, draw_noise
from dreamenv.training.rssm_sequences import Carried, Pictures, Sequences
from dreamenv.training.warm import warm_start_heads

Stage = Literal["frames", "joint", "latents", "dynamics", "heads"]
STAGES = get_args(Stage)
HEADS = ("reward_layers", "reward", "ending_layers", "endings")
FIRST_BETA = {"gaussian": 0.0, "categorical": 20.0}
DYNAMICS = ("enter", "cell", "prior_layers", "prior_parameters", *HEADS)
LATENTS = ("posterior_layers", "posterior_parameters", "decoder", *DYNAMICS)


@dataclass(frozen=True)
class FramesTraining(Settings):
    """How encoder, posterior and decoder are trained on single frames: scale * squared error + beta * KL.

    The KL is that from a standard normal, or from uniform classes; h is 0.

    Attributes:
        fit: The optimisation; 0 steps leave this stage out.
        batch_size: Frames per step.
        reconstruction_scale: Weight of the squared error, summed over pixels.
        beta: Weight of the KL term.
        first_beta: Its weight at the first step; None is 0 for a Gaussian z, and 20 for a categorical one. Without a
            large weight at first, all categories collapse to one class before the decoder has learned to read them,
            and never recover.
        beta_warmup: Share of the steps in which the weight goes from the first to the last.
    """

    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=2000))
    batch_size: Count = 128
    reconstruction_scale: Weight = 10.0
    beta: Weight = 0.5
    first_beta: Weight | None = None
    beta_warmup: Share = 0.1


@dataclass(frozen=True)
class RSSMTraining(WorldTraining):
    """How an RSSM is trained; adds to the settings of :class:`dreamenv.training.kinds.WorldTraining`.

    By default in stages: encoder, posterior and decoder on single frames; the dynamics on cached embeddings, with
    everything else frozen; the heads alone. PlaNet and Dreamer train all parts jointly on sequences.

    Attributes:
        model: Sizes of the model.
        rare_colours: Weight pixel errors by the rareness of their colour; without it small things vanish from dreams.
        colour_weights: Smallest and largest of these weights.
        frames: First stage: encoder, posterior and decoder on single frames.
        joint: Second stage: all parts on sequences of frames.
        latents: Third stage: all parts but the encoder, whose embeddings are cached.
        dynamics: Fourth stage: recurrent network, prior and heads.
        heads: Last stage: the heads alone. Its balance is taken back from the probabilities of endings.
    """

    model: RSSMConfig = field(default_factory=RSSMConfig)
    rare_colours: bool = True
    colour_weights: tuple[Weight, Weight] = (0.5, 20.0)
    frames: FramesTraining = field(default_factory=FramesTraining)
    joint: SequenceTraining = field(
        default_factory=lambda: SequenceTraining(
            fit=FitConfig(steps=0), batch_size=16, free_nats=1.0, first_frames=True, prior_share=0.0
        )
    )
    latents: SequenceTraining = field(
        default_factory=lambda: SequenceTraining(
            fit=FitConfig(steps=0, learning_rate=8e-4), batch_size=24, free_nats=1.0, decoded=128
        )
    )
    dynamics: SequenceTraining = field(default_factory=SequenceTraining)
    heads: SequenceTraining = field(
        default_factory=lambda: SequenceTraining(
            fit=FitConfig(steps=800, precision="float32"), dropout=0.2, step_balance=0.5
        )
    )

    @property
    def sizes(self) -> RSSMConfig:
        """Sizes of the model."""
        return self.model

    def later(self) -> RSSMTraining:
        """Half as many steps in every stage."""
        stages = {name: getattr(self, name) for name in STAGES}
        halved = {name: replace(stage.fit, steps=stage.fit.steps // 2) for name, stage in stages.items()}
        return replace(self, **{name: replace(stage, fit=halved[name]) for name, stage in stages.items()})


def train_rssm(settings: RSSMTraining, job: TrainingJob) -> Trained:
    """Trains an RSSM; see :class:`dreamenv.training.kinds.TrainingJob`.

    Raises:
        SettingsError: If the job's source is of another kind.
    """
    training = _Training(settings, job)
    training.learn_frames()
    training.learn_sequences("joint", ("encoder", *LATENTS), record(None, job.episodes, job.config))
    recordings = record(training.model.eval(), job.episodes, job.config)
    training.learn_sequences("latents", LATENTS, recordings)
    training.learn_sequences("dynamics", DYNAMICS, recordings)
    training.learn_sequences("heads", HEADS, recordings)
    return Trained(training.model.cpu().requires_grad_(True).eval(), recordings)


class _Training:
    """The stages of one training; each resumes from a folder of its own."""

    def __init__(self, settings: RSSMTraining, job: TrainingJob) -> None:
        self.settings, self.job = settings, job
        config, source = job.config, job.source
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.model = build_rssm(config.model, config.action, 1 + len(config.endings))
        if source is not None:
            if not isinstance(source.model, RSSM):
                raise SettingsError(f"expected a source of an RSSM, got a {type(source.model).__name__}")
            warm_start_heads(self.model, source.model, config.endings, source.config.endings)
        self.model.to(job.device)
        self.frames = frames_of(job.episodes, settings.model.frame_shape[:2])
        clip = settings.colour_weights if settings.rare_colours else None
        self.table = colour_table(self.frames, clip, settings.seed).to(job.device)

    def learn_frames(self) -> None:
        """First stage."""
        config, model, device = self.settings.frames, self.model, self.job.device
        h = torch.zeros(config.batch_size, model.hidden_size, device=device)
        first = config.first_beta
        if first is None:
            first = FIRST_BETA[self.settings.model.latent]

        def loss(step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
            pixels = model.to_pixels(sample_frames(self.frames, config.batch_size, generator).to(device))
            posterior = model.posterior_of(h, model.encoder(pixels).float())
            z = model.draw(posterior, *draw_noise(model, (config.batch_size,), generator))
            errors, squared = pixel_errors(model.decode_pixels(z, h), pixels, self.table)
            kl, error = posterior.kl_from_standard().sum(1).mean(), errors.mean()
            beta = first + (config.beta - first) * min(1.0, step / max(1.0, config.beta_warmup * config.fit.steps))
            facts = {"squared_error": squared.item(), "weighted_error": error.item(), "kl": kl.item()}
            return config.reconstruction_scale * error + beta * kl, facts

        if config.fit.steps:
            self._fit("frames", model, config.fit, loss)
            self._warn_of_collapse()

    @torch.no_grad()
    def _warn_of_collapse(self) -> None:
        model, generator = self.model, torch.Generator().manual_seed(self.settings.seed)
        pixels = model.to_pixels(sample_frames(self.frames, 256, generator).to(self.job.device))
        h = torch.zeros(len(pixels), model.hidden_size, device=self.job.device)
        z = model.posterior_of(h, model.encoder(pixels)).mode()
        advice = "Lower frames.beta, or raise frames.first_beta and let it act for longer (frames.beta_warmup)."
        warn_of_collapse("The encoder", pixels, model.decode_pixels(z, h), advice)

    def learn_sequences(self, stage: Stage, parts: Sequence[str], recordings: Sequence[Recording]) -> None:
        """A later stage.

        Args:
            stage: Which one.
            parts: Names of the parts of the model that learn.
            recordings: The episodes, embedded unless the encoder learns.
        """
        config: SequenceTraining = getattr(self.settings, stage)
        if not config.fit.steps:
            return
        model, seed = self.model, self.settings.seed
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.partition(".")[0] in parts)
        pictures = Pictures(self.frames, self.table)
        sequences = Sequences(model, self.job.config, recordings, pictures, config, config.fit.steps, seed)
        carried = Carried(model, model, config.batch_size).to(self.job.device)
        encode, decode = "encoder" in parts, "decoder" in parts

        def loss(step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
            return sequences.loss(sequences.chunk(step), carried, generator, encode=encode, decode=decode)[:2]

        self._fit(stage, carried, config.fit, loss)

    def _fit(self, stage: str, model: nn.Module, config: FitConfig, loss: Loss) -> None:
        """Fits one stage; its checkpoints depend on the data and on the settings up to this stage."""
        settings = {f.name: getattr(self.settings, f.name) for f in fields(self.settings)}
        names = ["model", "rare_colours", "colour_weights", *STAGES[: STAGES.index(stage) + 1]]
        identity = [*self.job.identity, {name: to_jsonable_python(settings[name]) for name in names}]
        fit(model, loss, config, self.job.folder / stage, identity, self.settings.seed)


register_world_model("rssm", config=RSSMConfig, build=build_rssm, settings=RSSMTraining, train=train_rssm)
