"""The whole chain on an environment of one's own: collect, train, evolve in the dream, compare with reality."""

from pathlib import Path

import dreamenv
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.training.fit import FitConfig
from dreamenv.training.memory import MemoryTraining
from dreamenv.training.vision import VisionTraining

FOLDER = Path("runs/corridor")
FRAMES = 4000
VISION_STEPS = 400
MEMORY_STEPS = 600
GENERATIONS = 30
EPISODES = 50

# The frames are small, so V and M can be: the defaults are made for Sidewalk's 60 x 80 pixels.
vision = VisionConfig(frame_shape=(16, 32, 3), latent_size=8, channels=(16, 32))
memory = MemoryConfig(hidden_size=32, components=3)
training = dreamenv.TrainConfig(
    vision=VisionTraining(model=vision, fit=FitConfig(steps=VISION_STEPS, learning_rate=3e-3)),
    memory=MemoryTraining(model=memory, fit=FitConfig(steps=MEMORY_STEPS, learning_rate=5e-3, gradient_clip=1.0)),
)

dreamenv.collect("corridor:Corridor-v0", FOLDER / "episodes", dreamenv.CollectConfig(frames=FRAMES))
world = dreamenv.train(FOLDER, training)
evolution = dreamenv.EvolveConfig(generations=GENERATIONS, population=16)
agent = dreamenv.evolve(world, FOLDER / "agents" / "linear", evolution)
result = dreamenv.compare(world, agent, dreamenv.CompareConfig((0.5, 1.0), EPISODES, seed=80_000))
for score in result.scores:
    place = score.place if score.temperature is None else f"{score.place} {score.temperature}"
    print(f"{score.policy:16} {place:10} success {score.success:.2f}, mean length {score.length:.1f}")
