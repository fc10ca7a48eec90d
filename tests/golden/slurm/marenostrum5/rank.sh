#!/bin/bash
# One task of the training step becomes one rank. What differs from rank to rank is known only here, inside the step.
set -eu
mkdir -p -- "$EUROLM_NODE_DIR"
export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS
exec "$@" >>"$EUROLM_LOGS/rank-$SLURM_PROCID.log" 2>&1
