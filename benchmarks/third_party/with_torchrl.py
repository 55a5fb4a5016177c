"""TorchRL: GymEnv and its checker on a dream and on reality seen through the world; a collector on dreams."""

from functools import partial

from outcome import expect, report
from torchrl.collectors import Collector
from torchrl.envs import GymEnv, SerialEnv
from torchrl.envs.utils import check_env_specs

STEPS = 400


def check(env_id: str) -> tuple[int, str]:
    env = GymEnv(env_id).auto_register_info_dict()
    env.set_seed(0)
    check_env_specs(env)
    steps = env.rollout(STEPS, break_when_any_done=False)
    expect(len(steps) == STEPS, STEPS, len(steps))
    done = steps["next", "done"]
    expect(bool(done.any()), "an end within the steps", int(done.sum()))
    env.close()
    return STEPS, f"infos, check_env_specs, rollout over {int(done.sum())} ends"


def collect() -> tuple[int, str]:
    env = SerialEnv(2, lambda: GymEnv("dreamenv:DreamSidewalk-v0"))
    collector = Collector(env, None, frames_per_batch=STEPS, total_frames=2 * STEPS)
    frames = sum(batch.numel() for batch in collector)
    collector.shutdown()
    expect(frames == 2 * STEPS, 2 * STEPS, frames)
    return frames, "SerialEnv of two, Collector"


if __name__ == "__main__":
    ids = ("DreamSidewalk-v0", "LatentSidewalk-v0")
    checks = {f"TorchRL, GymEnv of {name}": partial(check, f"dreamenv:{name}") for name in ids}
    report("torchrl", checks | {"TorchRL, collector": collect})
