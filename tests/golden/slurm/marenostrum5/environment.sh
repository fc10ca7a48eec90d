# shellcheck shell=bash disable=SC2016
# Environment of all jobs of baltic-1b on MareNostrum 5 ACC (BSC, Barcelona): each value with its reason and source, from the machine profile.

# A container is handed these too: what modules of the login shell put there would come before the image's packages.
unset PYTHONPATH PYTHONHOME
# A job inherits the `module` function; where the site does not export it, the profile defines it.
if ! type module >/dev/null 2>&1; then
  # shellcheck disable=SC1091
  source /etc/profile || true # one of its lines may fail
fi
module load singularity/4.1.5

# A colleague of the same group can resume and cancel.
umask 0007
# Of the node, until the site clears it; and shared between nodes. $HOME has room for neither.
export EUROLM_NODE_DIR=/scratch/tmp/eurolm-"$SLURM_JOB_ID"
export EUROLM_CACHE_DIR=/scratch/project_465000000/anna/cache
mkdir -p -- "$EUROLM_NODE_DIR" "$EUROLM_CACHE_DIR"

# compute nodes have no internet; a look-up would hang until its time-out (three teams' notes on Leonardo and MareNostrum 5)
export HF_HUB_OFFLINE=1
# as HF_HUB_OFFLINE (three teams' notes on Leonardo and MareNostrum 5)
export TRANSFORMERS_OFFLINE=1
# as HF_HUB_OFFLINE (three teams' notes on Leonardo and MareNostrum 5)
export HF_DATASETS_OFFLINE=1
# as HF_HUB_OFFLINE (three teams' notes on Leonardo and MareNostrum 5)
export WANDB_MODE=offline
# srun does not inherit --cpus-per-task; without it all ranks share one core, silently (as on Leonardo (one team's notes))
export SRUN_CPUS_PER_TASK=20
# the default is in $HOME, whose quota is small (one team's notes)
export HF_HOME="$EUROLM_CACHE_DIR"/huggingface
# the default is in $HOME, whose quota is small (one team's notes)
export TORCH_HOME="$EUROLM_CACHE_DIR"/torch
# nodes that compile into one shared directory collide (LUMI AI Guide ch. 04, for the same reason)
export TRITON_CACHE_DIR="$EUROLM_NODE_DIR"/triton
# nodes that compile into one shared directory collide (LumiOpen/Megatron-LM-lumi launch.sh, for the same reason)
export TORCH_EXTENSIONS_DIR="$EUROLM_NODE_DIR"/torch-extensions
# one thread per core of the rank; unset, every rank starts as many as the node has cores (OpenMP's default)
export OMP_NUM_THREADS=20
# what `pip install --user` left in $HOME shadows the packages of the job, silently (Python documentation)
export PYTHONNOUSERSITE=1
# text must be UTF-8 in any locale (Python documentation, UTF-8 mode)
export PYTHONUTF8=1
# a UTF-8 locale that needs no locale files (glibc 2.35 release notes)
export LC_ALL=C.UTF-8
# preflight reads from it which network was selected (NCCL documentation, environment variables)
export NCCL_DEBUG=INFO
# keeps thousands of lines per rank out of the job's log (NCCL documentation, environment variables)
export NCCL_DEBUG_FILE="$EUROLM_NODE_DIR"/nccl-%h-%p.log
# every rank keeps its last collectives, which show after a time-out which rank was behind (PyTorch documentation, ProcessGroupNCCL environment variables)
export TORCH_NCCL_TRACE_BUFFER_SIZE=2000
# writes the kept collectives when one times out (PyTorch documentation, ProcessGroupNCCL environment variables)
export TORCH_NCCL_DUMP_ON_TIMEOUT=1
# a file per rank, on a time-out only; the default is in /tmp of the nodes, which is gone with the job (PyTorch documentation, ProcessGroupNCCL environment variables)
export TORCH_NCCL_DEBUG_INFO_TEMP_FILE="$EUROLM_CACHE_DIR"/nccl-trace-"$SLURM_JOB_ID"-rank-
