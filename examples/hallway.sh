#!/usr/bin/env bash
# The whole chain on another environment, from the command line. Every line goes on where it was interrupted.
set -euo pipefail

WORLD=runs/hallway
FRAMES=20000
VISION_STEPS=800
MEMORY_STEPS=1500
TIMESTEPS=600000
EPISODES=50

dreamenv collect --env MiniWorld-Hallway-v0 --world $WORLD --frames $FRAMES
dreamenv train --world $WORLD --vision.fit.steps $VISION_STEPS --memory.fit.steps $MEMORY_STEPS \
    --vision.model.latent-size 32 --memory.model.hidden-size 256
dreamenv ppo --world $WORLD --timesteps $TIMESTEPS
# Seeds from 80,000 on are for choosing; 90,000 and up are for the final report, once.
dreamenv compare --world $WORLD --agent $WORLD/agents/ppo --temperatures 0.5 1.0 --episodes $EPISODES --seed 80000
