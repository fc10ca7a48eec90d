# shellcheck shell=bash disable=SC2016
# Environment of all jobs of baltic-1b on LUMI-G (CSC, Kajaani): each value with its reason and source, from the machine profile.

# A container is handed these too: what modules of the login shell put there would come before the image's packages.
unset PYTHONPATH PYTHONHOME
# The site's bindings refuse to run where these old places are in PATH, as ~/.bashrc of many users has them.
for old in /appl/local/csc/soft/ai /appl/local/containers/ai-modules; do
  PATH=$(tr : '\n' <<<"$PATH" | grep --invert-match --fixed-strings -- "$old" | paste --serial --delimiters=:)
done
# A job inherits the `module` function; where the site does not export it, the profile defines it.
if ! type module >/dev/null 2>&1; then
  # shellcheck disable=SC1091
  source /etc/profile || true # one of its lines may fail
fi
module use /appl/local/laifs/modules
module load lumi-aif-singularity-bindings

# A colleague of the same group can resume and cancel.
umask 0007
# Of the node, until the site clears it; and shared between nodes. $HOME has room for neither.
export EUROLM_NODE_DIR=/tmp/eurolm-"$SLURM_JOB_ID"
export EUROLM_CACHE_DIR=/scratch/project_465000000/anna/cache
mkdir -p -- "$EUROLM_NODE_DIR" "$EUROLM_CACHE_DIR"

# collectives must use Slingshot; the management network is found first otherwise (LUMI training materials 2day-20260422/205-Containers)
export NCCL_SOCKET_IFNAME=hsn0,hsn1,hsn2,hsn3
# PHB, SYS or 3 hang multi-node jobs with ROCm 7 images (rings connect, trees never); needed only up to ROCm 6.1 (laifs-container-recipes issues 28 and 30; LUMI-AI-Guide pull request 97)
unset NCCL_NET_GDR_LEVEL
# the default memhooks can hang RCCL (LUMI-AI-Guide pull request 118; olcf-user-docs issue 947)
export FI_MR_CACHE_MONITOR=userfaultfd
# large jobs end in "Cassini Event Queue overflow detected" with the default (olcf-user-docs issue 947; LumiOpen used 262144 (LumiOpen/Megatron-LM-lumi))
export FI_CXI_DEFAULT_CQ_SIZE=131072
# room for the sends of large jobs (olcf-user-docs issue 947 (HPE's advice for Frontier))
export FI_CXI_DEFAULT_TX_SIZE=2048
# rings may change NIC between nodes, which Slingshot handles better (olcf-user-docs issue 947)
export NCCL_CROSS_NIC=1
# the default is in $HOME, where many nodes fight for one lock (LUMI user guide, software/packages/pytorch.md; workshop ch. 09)
export MIOPEN_USER_DB_PATH="$EUROLM_NODE_DIR"/miopen
# the default is in $HOME, where many nodes fight for one lock (LUMI user guide, software/packages/pytorch.md; workshop ch. 09)
export MIOPEN_CUSTOM_CACHE_DIR="$EUROLM_NODE_DIR"/miopen
# operators compiled by several nodes into one directory collide (LumiOpen/Megatron-LM-lumi launch.sh)
export TORCH_EXTENSIONS_DIR="$EUROLM_NODE_DIR"/torch-extensions
# the default is in $HOME (20 GB, 100,000 files) (LUMI AI Guide ch. 04)
export TRITON_CACHE_DIR="$EUROLM_NODE_DIR"/triton
# the default is in /tmp under the user's name and may be another job's (LUMI AI Guide ch. 04 (caches off $HOME))
export TORCHINDUCTOR_CACHE_DIR="$EUROLM_NODE_DIR"/inductor
# the default is in $HOME (20 GB, 100,000 files) (LUMI AI Guide ch. 04)
export TORCH_HOME="$EUROLM_CACHE_DIR"/torch
# the default is in $HOME (20 GB, 100,000 files) (LUMI AI Guide ch. 04; LUMI AI Factory onboarding ch. 4)
export HF_HOME="$EUROLM_CACHE_DIR"/huggingface
# a job must not depend on the network; the hub has throttled LUMI as a whole (LUMI training materials, FAQ)
export HF_HUB_OFFLINE=1
# as HF_HUB_OFFLINE (LUMI training materials, FAQ)
export TRANSFORMERS_OFFLINE=1
# one thread per core of the rank; unset, every rank starts 64 (LumiOpen/Megatron-LM-lumi uses 1, LUMI materials up to 7)
export OMP_NUM_THREADS=7
# what `pip install --user` left in $HOME shadows torch and its RCCL, silently (LUMI coffee breaks 2026-02 and 2026-03 (torch of PyPI in place of the image's); Python documentation)
export PYTHONNOUSERSITE=1
# the image has no lv_LV locale; text must be UTF-8 in any locale (laifs-container-recipes, locales of the image)
export PYTHONUTF8=1
# the only UTF-8 locale that is in every image (laifs-container-recipes, locales of the image)
export LC_ALL=C.UTF-8
# each rank takes its device by LOCAL_RANK; a mask per rank cuts peer-to-peer transfers (LUMI user guide, runjobs/scheduled-jobs/lumig-job.md; 202-Binding)
unset ROCR_VISIBLE_DEVICES
# preflight reads from it which network was selected; into files of the node, see NCCL_DEBUG_FILE (LUMI user guide; workshop ch. 09)
export NCCL_DEBUG=INFO
# enough to name the provider, little enough for a log (workshop ch. 09)
export NCCL_DEBUG_SUBSYS=INIT,NET
# keeps thousands of lines per rank out of the job's log (workshop ch. 09)
export NCCL_DEBUG_FILE="$EUROLM_NODE_DIR"/nccl-%h-%p.log
# every rank keeps its last collectives, which show after a time-out which rank was behind (PyTorch documentation, ProcessGroupNCCL environment variables)
export TORCH_NCCL_TRACE_BUFFER_SIZE=2000
# writes the kept collectives when one times out (PyTorch documentation, ProcessGroupNCCL environment variables)
export TORCH_NCCL_DUMP_ON_TIMEOUT=1
# a file per rank, on a time-out only; the default is in /tmp of the nodes, which is gone with the job (PyTorch documentation, ProcessGroupNCCL environment variables)
export TORCH_NCCL_DEBUG_INFO_TEMP_FILE="$EUROLM_CACHE_DIR"/nccl-trace-"$SLURM_JOB_ID"-rank-
