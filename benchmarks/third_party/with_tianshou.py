"""Tianshou: trains PPO on dreams in its own vector, then tests the policy in reality seen through the world."""

import gymnasium as gym
from outcome import expect, report
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv, SubprocVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic

STEPS = 4000


def make_dream() -> gym.Env:
    return gym.make("dreamenv:DreamSidewalk-v0")


def make_reality() -> gym.Env:
    return gym.make("dreamenv:LatentSidewalk-v0")


def make_ppo(env: gym.Env) -> PPO:
    net = Net(state_shape=env.observation_space.shape, hidden_sizes=[64])
    actor = DiscreteActor(preprocess_net=net, action_shape=env.action_space.n, softmax_output=False)
    policy = DiscreteActorPolicy(actor=actor, action_space=env.action_space, observation_space=env.observation_space)
    return PPO(policy=policy, critic=DiscreteCritic(preprocess_net=net), optim=AdamOptimizerFactory(lr=3e-4))


def train() -> tuple[int, str]:
    dreams, realities = DummyVectorEnv([make_dream] * 4), DummyVectorEnv([make_reality] * 2)
    algorithm = make_ppo(make_dream())
    training = Collector(algorithm, dreams, VectorReplayBuffer(STEPS, 4))
    result = algorithm.run_training(
        OnPolicyTrainerParams(
            training_collector=training,
            test_collector=Collector(algorithm, realities),
            max_epochs=2,
            epoch_num_steps=STEPS // 2,
            collection_step_num_env_steps=STEPS // 4,
            test_step_num_episodes=2,
        )
    )
    expect(result.train_step == STEPS, STEPS, result.train_step)
    return result.train_step, f"PPO on dreams, tested in reality; {result.train_episode} episodes"


def collect_in_processes() -> tuple[int, str]:
    dreams = SubprocVectorEnv([make_dream] * 2)
    collector = Collector(make_ppo(make_dream()), dreams, VectorReplayBuffer(STEPS, 2))
    collector.reset(gym_reset_kwargs={"seed": 0})
    steps = collector.collect(n_step=400).n_collected_steps
    dreams.close()
    return steps, "Collector on SubprocVectorEnv"


if __name__ == "__main__":
    report("tianshou", {"Tianshou, PPO": train, "Tianshou, processes": collect_in_processes})
