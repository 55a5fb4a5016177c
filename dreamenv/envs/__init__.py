"""Environments, and their registration with Gymnasium."""

from typing import Any

from gymnasium.envs.registration import register

_DREAM: dict[str, Any] = {
    "entry_point": "dreamenv.envs.dream:DreamEnv",
    "vector_entry_point": "dreamenv.envs.dream_vector:DreamVectorEnv",
}
_LATENT: dict[str, Any] = {
    "entry_point": "dreamenv.envs.latent:make_latent",
    "vector_entry_point": "dreamenv.envs.latent:make_latent_vector",
}

register("Dream-v0", **_DREAM)
register("Latent-v0", **_LATENT)
register("DreamSidewalk-v0", **_DREAM, kwargs={"world": "sidewalk"})
register("LatentSidewalk-v0", **_LATENT, kwargs={"world": "sidewalk"})
