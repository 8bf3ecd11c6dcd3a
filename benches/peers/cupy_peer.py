"""CuPy in f32 on a card: its random numbers, its products, and kernels of our own where it has none.

As with PyTorch, each way that may be the fastest has a line of its own, and nothing waits for the card but
the last line of a run. Products are in f32 proper: CuPy uses TF32 only where CUPY_TF32 asks for it.
"""

import math
import sys

import cupy
import numpy as np

import common

THREADS = 256
# Of the memory that is free, the part for losses that await their selection.
SHARE = 0.25

PATHS_TO_LOSSES = r"""
// Profits of the whole book at one path's log-returns; see common.W1.folded.
__device__ float loss_of(const float* x, const float* linear, const int* bounds, int options, const float* terms)
{
    float profit = 0.0f;
    #pragma unroll
    for (int a = 0; a < ASSETS; ++a) {
        const float growth = expf(x[a]);
        profit += linear[a] * expm1f(x[a]);
        for (int o = bounds[a]; o < bounds[a + 1]; ++o) {
            const float slope = terms[o], up = terms[options + o], down = terms[2 * options + o];
            profit += terms[3 * options + o] * growth * (1.0f + erff(fmaf(x[a], slope, up)))
                - terms[4 * options + o] * (1.0f + erff(fmaf(x[a], slope, down))) - terms[5 * options + o];
        }
    }
    return -profit;
}

// Adds a step's correlated shocks; `mixing` is [source][to].
__device__ void step(float* x, const float* z, const float* drift, const float* mixing)
{
    #pragma unroll
    for (int to = 0; to < ASSETS; ++to) {
        x[to] += drift[to];
        #pragma unroll
        for (int source = 0; source <= to; ++source) x[to] = fmaf(mixing[source * ASSETS + to], z[source], x[to]);
    }
}

// The sum of n normal jumps is normal. Nothing on the way asks when they came.
__device__ void jump(float* x, const float* z, const float* u, const float* thresholds, const float* jumps)
{
    #pragma unroll
    for (int a = 0; a < ASSETS; ++a) {
        float n = 0.0f;
        for (int k = 0; k < THRESHOLDS; ++k) n += u[a] > thresholds[a * THRESHOLDS + k] ? 1.0f : 0.0f;
        x[a] += n * jumps[a] + sqrtf(n) * jumps[ASSETS + a] * z[a];
    }
}

// Normals [steps + 1][asset][path] and uniforms [asset][path] come from the library.
extern "C" __global__ void given(const float* z, const float* u, int paths, const float* drift, const float* mixing,
    const float* thresholds, const float* jumps, const float* linear, const int* bounds, int options,
    const float* terms, float* losses)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= paths) return;
    float x[ASSETS] = {}, normals[ASSETS], uniforms[ASSETS];
    for (int s = 0; s <= STEPS; ++s) {
        #pragma unroll
        for (int a = 0; a < ASSETS; ++a) normals[a] = z[((long long)s * ASSETS + a) * paths + i];
        if (s < STEPS) step(x, normals, drift, mixing);
    }
    for (int a = 0; a < ASSETS; ++a) uniforms[a] = u[(long long)a * paths + i];
    jump(x, normals, uniforms, thresholds, jumps);
    losses[i] = loss_of(x, linear, bounds, options, terms);
}

// Philox4x32-10 (Salmon et al., 2011): counter and key become four random words.
__device__ uint4 philox(uint4 c, uint2 k)
{
    #pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned h0 = __umulhi(0xD2511F53u, c.x), h1 = __umulhi(0xCD9E8D57u, c.z);
        c = make_uint4(h1 ^ c.y ^ k.x, 0xCD9E8D57u * c.z, h0 ^ c.w ^ k.y, 0xD2511F53u * c.x);
        k.x += 0x9E3779B9u;
        k.y += 0xBB67AE85u;
    }
    return c;
}

__device__ float uniform(unsigned word) { return fmaf((float)word, 2.3283064365386963e-10f, 1.1641532182693481e-10f); }

__device__ void normal_pair(unsigned a, unsigned b, float* z)
{
    const float radius = sqrtf(-2.0f * logf(uniform(a)));
    sincospif(2.0f * uniform(b), z, z + 1);
    z[0] *= radius;
    z[1] *= radius;
}

// `ASSETS` of them, rounded up to fours.
__device__ void draw(unsigned path, unsigned at, unsigned seed, float* z)
{
    #pragma unroll
    for (int a = 0; a < ASSETS; a += 4) {
        const uint4 word = philox(make_uint4(path, at, a, 0u), make_uint2(seed, 0u));
        normal_pair(word.x, word.y, z + a);
        normal_pair(word.z, word.w, z + a + 2);
    }
}

// All of it in registers.
extern "C" __global__ void alone(unsigned seed, int paths, const float* drift, const float* mixing,
    const float* thresholds, const float* jumps, const float* linear, const int* bounds, int options,
    const float* terms, float* losses)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= paths) return;
    float x[ASSETS] = {}, z[(ASSETS + 3) / 4 * 4], u[(ASSETS + 3) / 4 * 4];
    for (int s = 0; s < STEPS; ++s) {
        draw(i, s, seed, z);
        step(x, z, drift, mixing);
    }
    draw(i, STEPS, seed, z);
    #pragma unroll
    for (int a = 0; a < ASSETS; a += 4) {
        const uint4 word = philox(make_uint4(i, STEPS + 1, a, 0u), make_uint2(seed, 0u));
        u[a] = uniform(word.x), u[a + 1] = uniform(word.y), u[a + 2] = uniform(word.z), u[a + 3] = uniform(word.w);
    }
    jump(x, z, u, thresholds, jumps);
    losses[i] = loss_of(x, linear, bounds, options, terms);
}
"""

HOLDINGS_TO_TAILS = r"""
// Losses of accounts on four paths a thread; all accounts pass over the same paths before the next, so that
// profits are read from the second cache.
extern "C" __global__ void net(const int* starts, const int* row, const float* quantity, const float* pnl,
    long long paths, float* losses)
{
    const long long i = 4 * ((long long)blockIdx.y * blockDim.x + threadIdx.x);
    if (i >= paths) return;
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const int last = starts[blockIdx.x + 1];
    #pragma unroll 4
    for (int at = starts[blockIdx.x]; at < last; ++at) {
        const float held = quantity[at];
        const float4 p = *(const float4*)(pnl + row[at] * paths + i);
        sum.x = fmaf(held, p.x, sum.x);
        sum.y = fmaf(held, p.y, sum.y);
        sum.z = fmaf(held, p.z, sum.z);
        sum.w = fmaf(held, p.w, sum.w);
    }
    *(float4*)(losses + blockIdx.x * paths + i) = sum;
}

// An order of unsigned integers that is the order of the numbers.
__device__ unsigned ordered(float x)
{
    const unsigned bits = __float_as_uint(x);
    return bits ^ ((int)bits < 0 ? 0xffffffffu : 0x80000000u);
}

// Expected Shortfall of one account a block: the `count`th largest loss by its 11, 11 and 10 highest bits, then
// the sum of those above it. Of the least that counts, only that part counts which fills the tail of `mass` paths.
extern "C" __global__ void shortfall(const float* all, long long paths, int count, double mass, double* found)
{
    __shared__ unsigned bins[2048], chosen, left;
    __shared__ double sums[32];
    const float* losses = all + blockIdx.x * paths;
    unsigned prefix = 0, known = 0, wanted = count;
    const int shifts[] = {21, 10, 0};
    for (int shift : shifts) {
        const unsigned width = shift == 0 ? 1024 : 2048;
        for (unsigned b = threadIdx.x; b < width; b += blockDim.x) bins[b] = 0;
        __syncthreads();
        for (long long i = 4 * threadIdx.x; i < paths; i += 4 * blockDim.x) {
            const float4 four = *(const float4*)(losses + i);
            const float each[] = {four.x, four.y, four.z, four.w};
            for (float loss : each) {
                const unsigned key = ordered(loss);
                if ((key & known) == prefix) atomicAdd(bins + (key >> shift & (width - 1)), 1u);
            }
        }
        __syncthreads();
        if (threadIdx.x < 32) {
            // Each lane has a stretch of bins, the first lane the highest.
            const unsigned stretch = width / 32, top = width - threadIdx.x * stretch;
            unsigned own = 0;
            for (unsigned b = 1; b <= stretch; ++b) own += bins[top - b];
            unsigned through = own;
            for (int lanes = 1; lanes < 32; lanes *= 2) {
                const unsigned before = __shfl_up_sync(0xffffffffu, through, lanes);
                if (threadIdx.x >= lanes) through += before;
            }
            unsigned above = through - own;
            if (above < wanted && wanted <= through) {
                unsigned b = top - 1;
                while (above + bins[b] < wanted) above += bins[b--];
                chosen = b;
                left = wanted - above;
            }
        }
        __syncthreads();
        prefix |= chosen << shift;
        known |= (width - 1) << shift;
        wanted = left;
        __syncthreads();
    }
    double sum = 0.0;
    for (long long i = 4 * threadIdx.x; i < paths; i += 4 * blockDim.x) {
        const float4 four = *(const float4*)(losses + i);
        const float each[] = {four.x, four.y, four.z, four.w};
        for (float loss : each) if (ordered(loss) > prefix) sum += loss;
    }
    for (int lanes = 16; lanes; lanes /= 2) sum += __shfl_down_sync(0xffffffffu, sum, lanes);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        sum = 0.0;
        for (int warp = 0; warp < blockDim.x / 32; ++warp) sum += sums[warp];
        const float least = __uint_as_float(prefix ^ (prefix >> 31 ? 0x80000000u : 0xffffffffu));
        found[blockIdx.x] = (sum + (wanted - (count - mass)) * least) / mass;
    }
}
"""


def kernels(source, *names, **constants):
    module = cupy.RawModule(code=source, options=tuple(f"-D{name}={value}" for name, value in constants.items()))
    return [module.get_function(name) for name in names]


def w1(work, paths, own_generator):
    """All paths at once: their normals are 0.4 GB for a million."""
    # Row-major, as the kernels read them; a transposed array would be kept as it is.
    f = lambda array: cupy.asarray(array, dtype=cupy.float32, order="C")
    thresholds = work.jump_thresholds()
    given, alone = kernels(PATHS_TO_LOSSES, "given", "alone", ASSETS=work.assets, STEPS=work.steps,
                          THRESHOLDS=thresholds.shape[1])
    bounds = cupy.asarray(np.searchsorted(work.asset, np.arange(work.assets + 1)), dtype=cupy.int32)
    terms = (f(work.drift), f(work.mixing), f(thresholds), f(np.stack([work.jump_mean, work.jump_sd])),
             f(work.linear * work.spot), bounds, np.int32(len(work.asset)), f(work.folded()))
    random = cupy.random.RandomState(1, method=cupy.cuda.curand.CURAND_RNG_PSEUDO_PHILOX4_32_10)
    count = round(paths * work.tail)
    runs = iter(range(1, 1 << 30))

    def run():
        losses = cupy.empty(paths, dtype=cupy.float32)
        grid = (-(-paths // THREADS),)
        if own_generator:
            alone(grid, (THREADS,), (np.uint32(next(runs)), np.int32(paths), *terms, losses))
        else:
            z = random.standard_normal((work.steps + 1, work.assets, paths), dtype=cupy.float32)
            u = random.random_sample((work.assets, paths), dtype=cupy.float32)
            given(grid, (THREADS,), (z, u, np.int32(paths), *terms, losses))
        worst = cupy.sort(losses)[-count:].astype(cupy.float64)
        excess = worst - worst[0]
        variance = (excess**2).mean() * work.tail - (excess.mean() * work.tail) ** 2
        return cupy.stack([worst.mean(), cupy.sqrt(variance / paths) / work.tail]).get()

    return run


class Tails:
    """Netting of a book and the Expected Shortfall of each of its accounts, in groups that fit the memory.

    The losses of a group are stored, and its tails selected from them; `paths` is a multiple of four.
    """

    def __init__(self, book, way, paths):
        self.tail, self.dense = book.tail, way == "dense"
        self.net, self.shortfall = kernels(HOLDINGS_TO_TAILS, "net", "shortfall")
        cupy.get_default_memory_pool().free_all_blocks()
        most = int(cupy.cuda.Device().mem_info[0] * SHARE / (4 * paths))
        size = max(1, min(book.accounts, most, 1024))
        self.groups = [self.group(book, first, min(first + size, book.accounts)) for first in range(0, book.accounts, size)]
        self.losses = cupy.empty((size, paths), dtype=cupy.float32)

    def group(self, book, first, last):
        """Holdings on the card, as a dense matrix or as compressed sparse rows; losses are positive."""
        of = slice(book.starts[first], book.starts[last])
        starts = book.starts[first : last + 1] - book.starts[first]
        row, quantity = book.row[of], -book.quantity[of].astype(np.float32)
        if not self.dense:
            return last - first, (cupy.asarray(starts, dtype=cupy.int32), cupy.asarray(row), cupy.asarray(quantity))
        dense = np.zeros((last - first, len(book.pnl)), dtype=np.float32)
        np.add.at(dense, (np.repeat(np.arange(last - first), np.diff(starts)), row), quantity)
        return last - first, cupy.asarray(dense)

    def __call__(self, pnl):
        """Expected Shortfall of every account, on the card."""
        paths = pnl.shape[1]
        mass = paths * self.tail
        found = []
        for accounts, holdings in self.groups:
            losses = self.losses[:accounts]
            if self.dense:
                cupy.dot(holdings, pnl, out=losses)
            else:
                self.net((accounts, -(-paths // (4 * THREADS))), (THREADS,), (*holdings, pnl, np.int64(paths), losses))
            found.append(cupy.empty(accounts, dtype=cupy.float64))
            self.shortfall((accounts,), (1024,), (losses, np.int64(paths), np.int32(math.ceil(mass - 1e-6)),
                                                  np.float64(mass), found[-1]))
        return cupy.concatenate(found)


WAYS = {"dense": "dense", "kernel": "kernel over CSR"}


def main():
    asked = common.arguments()
    pool = cupy.get_default_memory_pool()
    usual = dict(settle=cupy.cuda.Device().synchronize, warm=3, peak=pool.total_bytes, memory="card")

    def one(own_generator):
        def way(name):
            pool.free_all_blocks()
            common.measure(name, w1(work, paths, own_generator), asked.repeat, paths, **usual)
        return way

    def many(kind):
        def way(name):
            tails = Tails(work, kind, work.paths)
            run = lambda: tails(pnl).get()
            found = run()
            common.measure(name, run, asked.repeat, work.paths, result=np.stack([found, 0.0 * found], axis=1), **usual)
        return way

    def all_night(kind):
        def way(name):
            of = lambda paths: [Tails(book, kind, paths) for book in work.books]
            both = lambda books, pnls: cupy.stack([tails(pnl) for tails, pnl in zip(books, pnls)], axis=1).get()
            checked = both(of(work.books[0].paths), pnls)
            timed = of(paths)
            run = lambda: both(timed, long)
            # One run to warm up: it lasts long enough for the clocks.
            common.measure(name, run, asked.repeat, paths, scale=work.scale, result=checked,
                           scaled_from_accounts=len(work.accounts), scale_of_holdings=work.scale_of_holdings,
                           accounts=work.accounts.tolist(), **{**usual, "warm": 1})
        return way

    name = "CuPy f32"
    if asked.workload == "w1":
        work = common.W1(asked.data)
        paths = asked.paths or work.paths
        return common.each([(f"{name}, library's normals", one(False)), (f"{name}, one kernel with normals of its own", one(True))])
    if asked.workload == "w2":
        work = common.W2(asked.data)
        pnl = cupy.asarray(work.pnl)
        return common.each([(f"{name}, {WAYS[kind]}", many(kind)) for kind in WAYS])
    work = common.Night(asked.data, asked.every)
    paths = asked.paths or work.paths
    pnls = [cupy.asarray(book.pnl) for book in work.books]
    long = [cupy.ascontiguousarray(cupy.tile(pnl, (1, -(-paths // pnl.shape[1])))[:, :paths]) for pnl in pnls]
    return common.each([(f"{name}, {WAYS[kind]}", all_night(kind)) for kind in WAYS])


if __name__ == "__main__":
    sys.exit(main())
