"""Environments. Registers with Gymnasium those that accept any world."""

from gymnasium.envs.registration import register

register(
    "Dream-v0",
    "dreamenv.envs.dream:DreamEnv",
    vector_entry_point="dreamenv.envs.dream_vector:DreamVectorEnv",
)
register(
    "Latent-v0",
    "dreamenv.envs.latent:make_latent",
    vector_entry_point="dreamenv.envs.latent_vector:make_latent_vector",
)
