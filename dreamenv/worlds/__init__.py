"""The worlds that ship, and the registration of their environments with Gymnasium."""

from typing import Any

from gymnasium.envs.registration import register

from dreamenv.worlds.dmc import tasks

_DREAM: dict[str, Any] = {
    "entry_point": "dreamenv.envs.dream:DreamEnv",
    "vector_entry_point": "dreamenv.envs.dream_vector:DreamVectorEnv",
}
_LATENT: dict[str, Any] = {
    "entry_point": "dreamenv.envs.latent:make_latent",
    "vector_entry_point": "dreamenv.envs.latent_vector:make_latent_vector",
}

register("DreamSidewalk-v0", **_DREAM, max_episode_steps=150, kwargs={"world": "sidewalk"})
register("LatentSidewalk-v0", **_LATENT, max_episode_steps=150, kwargs={"world": "sidewalk"})

register("TakeCover-v0", "dreamenv.worlds.takecover.real:make_takecover", max_episode_steps=2100)
register("DreamTakeCover-v0", **_DREAM, max_episode_steps=2100, kwargs={"world": "takecover"})
register("LatentTakeCover-v0", **_LATENT, max_episode_steps=2100, kwargs={"world": "takecover"})

register("Memory-v0", "dreamenv.worlds.memory.real:make_memory", max_episode_steps=100)

tasks.register()
