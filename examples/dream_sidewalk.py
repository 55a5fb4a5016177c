"""The shipped linear agent acts in the dream at several temperatures, then in reality, through the same spaces."""

import gymnasium as gym

import dreamenv

TEMPERATURES = (0.1, 1.0, 1.3)
EPISODES = 5


def play(env, agent, seed, options=None):
    """One episode, acting greedily: (return, length)."""
    observation, _ = env.reset(seed=seed, options=options)
    total, length, done = 0.0, 0, False
    while not done:
        action, _ = agent.predict(observation, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, length, done = total + reward, length + 1, terminated or truncated
    return total, length


agent = dreamenv.load_agent("sidewalk/linear")
dream = gym.make("dreamenv:DreamSidewalk-v0")
for temperature in TEMPERATURES:
    played = [play(dream, agent, seed, {"temperature": temperature}) for seed in range(EPISODES)]
    print(f"dream {temperature}:", ", ".join(f"{total:.2f} in {length} steps" for total, length in played))

real = gym.make("dreamenv:LatentSidewalk-v0")
played = [play(real, agent, seed) for seed in range(EPISODES)]
print("reality:", ", ".join(f"{total:.2f} in {length} steps" for total, length in played))
