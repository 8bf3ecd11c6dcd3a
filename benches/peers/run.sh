#!/bin/sh
# Runs the engine and its peers one after the other on the same workloads, checks that they agree,
# and prints a table; --json prints the figures instead. Options: --repeat N (5), --device cuda
# (PyTorch and CuPy on a card, beside the engine's GPUs), --no-install, --workload w1|w2|night (w1 and w2;
# the night on a card alone). Where Python has the libraries already, and nothing is to be built:
#     python3 benches/peers/compare.py --shortfall PATH --python python3 --device cuda
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build="$root/target/peers"
device=cpu install=1
for option in "$@"; do
    case "$option" in
        cuda | --device=cuda) device=cuda ;;
        --no-install) install=0 ;;
    esac
done

if [ "$install" = 1 ]; then
    mkdir -p "$build"
    # Two environments: the last Numba whose LLVM from PyPI knows SVML wants an older NumPy.
    [ -d "$build/venv" ] || python3 -m venv "$build/venv"
    "$build/venv/bin/pip" install --quiet --requirement "$here/requirements.txt" >&2
    [ -d "$build/venv-numba" ] || python3 -m venv "$build/venv-numba"
    "$build/venv-numba/bin/pip" install --quiet --requirement "$here/requirements-numba.txt" >&2
    # For CUDA 13, as PyTorch's wheels are, so that one driver serves both; with the libraries that CuPy needs.
    [ "$device" = cpu ] || "$build/venv/bin/pip" install --quiet "cupy-cuda13x[ctk]" >&2
    [ -e /usr/include/ql/quantlib.hpp ] || [ "$device" = cuda ] ||
        echo "without QuantLib: its headers are missing (Debian: apt-get install libquantlib0-dev)" >&2
    cargo build --release --locked --quiet --manifest-path "$root/Cargo.toml"
fi

exec "$build/venv/bin/python" "$here/compare.py" --shortfall "$root/target/release/shortfall" "$@"
