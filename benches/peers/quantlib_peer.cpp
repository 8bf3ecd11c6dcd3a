// W1 with QuantLib: Mersenne twister and inverse normals, all steps, `blackFormula` for every option
// on every path, in f64 on all cores. Reads the workload as plain numbers (see quantlib_peer.py) and
// prints the losses' Expected Shortfall, its standard error, and seconds of wall and processor time.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <thread>
#include <vector>

#include <ql/math/distributions/poissondistribution.hpp>
#include <ql/math/randomnumbers/rngtraits.hpp>
#include <ql/pricingengines/blackformula.hpp>

using namespace QuantLib;

struct Held {
    int asset;
    double sign, strike, sd, quantity, base;
};

struct Work {
    int paths, steps, assets;
    double tail;
    std::vector<double> spot, drift, jumps, jumpMean, jumpSd, linear;
    std::vector<double> mixing; // [source][to]
    std::vector<Held> options;
};

static std::vector<double> numbers(size_t n) {
    std::vector<double> read(n);
    for (double& x : read) std::cin >> x;
    return read;
}

static Work readWork() {
    Work work;
    size_t options;
    std::cin >> work.paths >> work.steps >> work.assets >> work.tail >> options;
    const size_t n = work.assets;
    work.spot = numbers(n);
    work.drift = numbers(n);
    work.jumps = numbers(n);
    work.jumpMean = numbers(n);
    work.jumpSd = numbers(n);
    work.linear = numbers(n);
    work.mixing = numbers(n * n);
    for (size_t i = 0; i < options; ++i) {
        Held o{};
        std::cin >> o.asset >> o.sign >> o.strike >> o.sd >> o.quantity >> o.base;
        work.options.push_back(o);
    }
    return work;
}

static void simulate(const Work& work, unsigned long seed, size_t begin, size_t end, std::vector<double>& losses) {
    const size_t n = work.assets;
    PseudoRandom::rng_type normal(MersenneTwisterUniformRng{seed});
    MersenneTwisterUniformRng uniform(seed + 1000);
    std::vector<InverseCumulativePoisson> counts;
    for (double expected : work.jumps) counts.emplace_back(expected);
    std::vector<double> x(n), z(n);
    for (size_t path = begin; path < end; ++path) {
        std::fill(x.begin(), x.end(), 0.0);
        for (int step = 0; step < work.steps; ++step) {
            for (double& each : z) each = normal.next().value;
            for (size_t to = 0; to < n; ++to) {
                x[to] += work.drift[to];
                for (size_t source = 0; source <= to; ++source) x[to] += work.mixing[source * n + to] * z[source];
                const double u = uniform.next().value;
                // Most steps have no jump, and need no Poisson number.
                if (u > 1.0 - work.jumps[to]) {
                    const double count = counts[to](u);
                    if (count > 0.0)
                        x[to] += count * work.jumpMean[to] + std::sqrt(count) * work.jumpSd[to] * normal.next().value;
                }
            }
        }
        double profit = 0.0;
        for (size_t asset = 0; asset < n; ++asset) {
            profit += work.linear[asset] * work.spot[asset] * std::expm1(x[asset]);
            x[asset] = work.spot[asset] * std::exp(x[asset]);
        }
        for (const Held& o : work.options) {
            const auto type = o.sign > 0.0 ? QuantLib::Option::Call : QuantLib::Option::Put;
            profit += o.quantity * (blackFormula(type, o.strike, x[o.asset], o.sd) - o.base);
        }
        losses[path] = -profit;
    }
}

int main(int argc, char** argv) {
    const size_t threads = argc > 1 ? std::stoul(argv[1]) : 1;
    const Work work = readWork();
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    std::vector<double> losses(work.paths);
    std::vector<std::thread> pool;
    for (size_t i = 0; i < threads; ++i)
        pool.emplace_back(simulate, std::cref(work), 42 + i, losses.size() * i / threads,
                          losses.size() * (i + 1) / threads, std::ref(losses));
    for (auto& thread : pool) thread.join();
    const size_t count = std::lround(losses.size() * work.tail);
    std::nth_element(losses.begin(), losses.begin() + count, losses.end(), std::greater<>());
    const double valueAtRisk = *std::min_element(losses.begin(), losses.begin() + count);
    double sum = 0.0, square = 0.0;
    for (size_t i = 0; i < count; ++i) {
        sum += losses[i] - valueAtRisk;
        square += (losses[i] - valueAtRisk) * (losses[i] - valueAtRisk);
    }
    const double n = losses.size(), mean = sum / n;
    const double error = std::sqrt((square / n - mean * mean) / n) / work.tail;
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double cpuSeconds = double(std::clock() - cpu) / CLOCKS_PER_SEC;
    std::printf("%.9g %.9g %.6f %.6f\n", valueAtRisk + sum / count, error, wall, cpuSeconds);
}
