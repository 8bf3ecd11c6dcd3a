"""Raw SVI slices w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)), fitted jointly over
all expiries of one asset and kept free of butterfly and calendar arbitrage.

Gatheral & Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14 (2014).
"""
import numpy as np
from scipy.optimize import least_squares

WING_MAX = 1.95  # bound on b (1 + |rho|); Lee's moment formula allows 2
# Log-moneyness points of the checks: dense at the money (short expiries), out to +-2.5.
GRID = np.unique(np.concatenate([np.linspace(-2.5, 2.5, 251), 0.25 * np.sinh(np.linspace(-4, 4, 241)) / np.sinh(4)]))


def total_variance(p, k):
    a, b, rho, m, sigma = p
    return a + b * (rho * (k - m) + np.sqrt((k - m) ** 2 + sigma**2))


def butterfly(p, k):
    """Gatheral-Jacquier g(k); the slice's density is non-negative where g >= 0."""
    a, b, rho, m, sigma = p
    root = np.sqrt((k - m) ** 2 + sigma**2)
    w = total_variance(p, k)
    w1 = b * (rho + (k - m) / root)
    w2 = b * sigma**2 / root**3
    return (1 - k * w1 / (2 * w)) ** 2 - w1**2 / 4 * (1 / w + 0.25) + w2 / 2


def unpack(theta):
    """Free parameters (log of the least variance, b, rho, m, log sigma) to raw SVI."""
    low, b, rho, m, log_sigma = theta
    sigma = np.exp(log_sigma)
    return np.array([np.exp(low) - b * sigma * np.sqrt(1 - rho**2), b, rho, m, sigma])


def fit_surface(slices, calendar_k):
    """`slices`: list of (years, k, vol, weight) by rising expiry. Returns raw SVI rows."""
    grid_calendar = GRID[(GRID >= calendar_k[0]) & (GRID <= calendar_k[1])]

    def misfit(p, s):
        years, k, vol, weight = s
        return weight * (np.sqrt(np.maximum(total_variance(p, k), 1e-10) / years) - vol)

    def slice_penalty(p, force):
        g = np.minimum(butterfly(p, GRID) - 2e-3, 0)
        wing = max(p[1] * (1 + abs(p[2])) - WING_MAX, 0)
        return force * np.append(g, wing)

    def calendar_penalty(near, far, force):
        # in relative terms of the nearer slice, so that short expiries count as much as long ones
        w0, w1 = total_variance(near, grid_calendar), total_variance(far, grid_calendar)
        return force * np.minimum(w1 / w0 - 1 - 2e-3, 0)

    lower = np.array([-18.0, 1e-6, -0.995, -0.6, np.log(1e-3)])
    upper = np.array([1.0, 1.9, 0.995, 0.6, np.log(1.5)])
    starts = []
    for s in slices:  # each alone, for a start
        years, k, vol, _ = s
        atm = np.interp(0.0, k, vol) ** 2 * years
        best = None
        for width in (0.3, 1.0, 3.0):
            sigma = np.clip(width * np.sqrt(atm), 2e-3, 1.0)
            x0 = np.clip([np.log(0.6 * atm), 0.4 * atm / sigma, -0.1, 0.0, np.log(sigma)], lower + 1e-9, upper - 1e-9)

            def residual(x):
                p = unpack(x)
                return np.concatenate([misfit(p, s), slice_penalty(p, 3.0)])

            fit = least_squares(residual, x0, bounds=(lower, upper), x_scale="jac", max_nfev=400)
            if best is None or fit.cost < best.cost:
                best = fit
        starts.append(best.x)
    x = np.concatenate(starts)
    for force in (0.1, 1.0, 10.0, 100.0):  # then all together, penalties growing

        def residual(x):
            ps = [unpack(t) for t in x.reshape(-1, 5)]
            out = [misfit(p, s) for p, s in zip(ps, slices)]
            out += [slice_penalty(p, force) for p in ps]
            out += [calendar_penalty(ps[i - 1], ps[i], force) for i in range(1, len(ps))]
            return np.concatenate(out)

        x = least_squares(residual, x, bounds=(np.tile(lower, len(slices)), np.tile(upper, len(slices))), x_scale="jac", max_nfev=100).x
    return np.array([unpack(t) for t in x.reshape(-1, 5)])


def arbitrage(slices):
    """(least g, least relative calendar step, largest wing slope, least variance) of raw SVI rows."""
    k = np.linspace(-2.0, 2.0, 4001)
    g = min(butterfly(p, np.unique(np.concatenate([GRID, k]))).min() for p in slices)
    w = np.array([total_variance(p, k) for p in slices])
    step = (w[1:] / w[:-1] - 1).min() if len(slices) > 1 else np.inf
    wing = max(p[1] * (1 + abs(p[2])) for p in slices)
    least = min(p[0] + p[1] * p[4] * np.sqrt(1 - p[2] ** 2) for p in slices)
    return g, step, wing, least
