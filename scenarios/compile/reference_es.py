"""Independent NumPy Monte Carlo of one-day losses, written from the methodology page alone.

Used to size the balances of the example books (make_books.py) and as a second opinion on the
engine's figures. 20,000 paths: two or three per cent of sampling error on a 99 % ES.
"""
import re
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.special import ndtr

from svi import total_variance

YEAR = 365 * 86400.0
MONTHS = {m: i + 1 for i, m in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split())}
TENOR = {"1d": 1 / 365, "30d": 30 / 365}
CASH = ("USD", "USDC", "USDT")


class Market:
    def __init__(self, file):
        folder = Path(file).parent
        self.raw = yaml.safe_load(Path(file).read_text())
        self.as_of = pd.Timestamp(self.raw["as_of"])
        self.assets = {a["name"]: a for a in self.raw["assets"]}
        self.names = list(self.assets)
        self.correlation = pd.read_csv(folder / "correlation.csv", index_col=0).loc[self.names, self.names].values
        self.forward = {(r.asset, pd.Timestamp(r.expiry)): r.forward for r in pd.read_csv(folder / "forwards.csv").itertuples()}
        self.slice = {(r.asset, pd.Timestamp(r.expiry)): (r.a, r.b, r.rho, r.m, r.sigma) for r in pd.read_csv(folder / "surfaces.csv").itertuples()}

    def years(self, expiry):
        return (expiry - self.as_of).total_seconds() / YEAR


def parse(name):
    """(asset, kind, expiry, strike, call, linear) of a venue instrument name."""
    head, *rest = name.split("-")
    asset, linear = head.split("_")[0], "_" in head
    if not rest:
        return asset, "spot", None, None, None, True
    if rest[0] == "PERPETUAL":
        return asset, "perpetual", None, None, None, linear
    day, month, year = re.fullmatch(r"(\d+)([A-Z]{3})(\d\d)", rest[0]).groups()
    expiry = pd.Timestamp(2000 + int(year), MONTHS[month], int(day), 8, tz="UTC")
    if len(rest) == 1:
        return asset, "future", expiry, None, None, linear
    return asset, "option", expiry, float(rest[1]), rest[2] == "C", linear


def simulate(market, cuts, steps, paths, seed):
    """State at each cut (years, rising): log-return, implied shift, basis change, arrays [assets, paths]."""
    rng = np.random.default_rng(seed)
    n = len(market.names)
    chol = np.linalg.cholesky(market.correlation)
    A = [market.assets[a] for a in market.names]
    vol = np.array([a["volatility"] for a in A])[:, None]
    loading = np.array([a["common_jump_loading"] for a in A])[:, None]
    common = market.raw["common_jumps"]
    nu = market.raw["tail_groups"]["crypto"]["degrees_of_freedom"]
    iv = [a.get("implied_volatility") for a in A]

    def growth(j, scale=1.0):  # E[exp(J)] - 1
        if j["law"] == "merton":
            return np.exp(scale * j["mean"] + 0.5 * (scale * j["sd"]) ** 2) - 1
        p, u, d = j["up_probability"], j["up_rate"], j["down_rate"]
        return p * u / (u - 1) + (1 - p) * d / (d + 1) - 1

    compensator = np.array([a["own_jumps"]["intensity"] * growth(a["own_jumps"]) + common["intensity"] * growth(common, a["common_jump_loading"]) for a in A])[:, None]
    x, y, b = (np.zeros((n, paths)) for _ in range(3))
    states, past = [], 0.0
    for cut, count in zip(cuts, steps):
        dt = (cut - past) / count
        past = cut
        for _ in range(count):
            z = chol @ rng.standard_normal((n, paths))
            mix = np.sqrt((nu - 2) / rng.chisquare(nu, paths))
            hits = rng.poisson(common["intensity"] * dt, paths)
            shock = common["mean"] * hits + common["sd"] * np.sqrt(hits) * rng.standard_normal(paths)
            x += (-0.5 * vol**2 - compensator) * dt + vol * np.sqrt(dt) * mix * z + loading * shock
            for i, a in enumerate(A):
                j = a["own_jumps"]
                own = rng.poisson(j["intensity"] * dt, paths)
                if j["law"] == "merton":
                    x[i] += j["mean"] * own + j["sd"] * np.sqrt(own) * rng.standard_normal(paths)
                else:
                    for p in np.flatnonzero(own):
                        up = rng.random(own[p]) < j["up_probability"]
                        x[i, p] += np.where(up, rng.exponential(1 / j["up_rate"], own[p]), -rng.exponential(1 / j["down_rate"], own[p])).sum()
                if iv[i]:
                    r, v = iv[i]["spot_correlation"], iv[i]["volatility"]
                    e = r * mix * z[i] + np.sqrt(1 - r * r) * rng.standard_normal(paths)
                    y[i] += -iv[i]["mean_reversion"] * y[i] * dt + v * np.sqrt(dt) * e + iv[i]["common_jump_shift"] * hits + iv[i]["own_jump_shift"] * own
                b[i] += a["basis_volatility"] * np.sqrt(dt) * rng.standard_normal(paths)
        states.append((x.copy(), y.copy(), b.copy()))
    return states


def black(forward, strike, deviation, call):
    d1 = (np.log(forward / strike) + 0.5 * deviation**2) / deviation
    value = forward * ndtr(d1) - strike * ndtr(d1 - deviation)
    return value if call else value - forward + strike


def value_now(market, name, entry=np.nan):
    """USD value of one unit (options, spot) or its unrealised profit (perpetuals, futures)."""
    return float(revalue(market, name, entry, 0.0, None)[0])


def revalue(market, name, entry, horizon, states):
    """USD values of one unit at the horizon; `states` as simulate() gives, None for now."""
    asset, kind, expiry, strike, call, linear = parse(name)
    if asset in CASH:
        return np.ones(1)
    i = market.names.index(asset)
    spot0 = market.assets[asset]["spot"]
    zero = (np.zeros((len(market.names), 1)),) * 3
    x, y, b = states[-1] if states else zero
    spot = spot0 * np.exp(x[i])
    if kind == "spot":
        return spot
    if kind == "perpetual":
        base, mark = spot0, spot
        carry = -market.assets[asset]["funding_rate"] * horizon
    else:
        years = market.years(expiry)
        base, carry = market.forward[asset, expiry], 0.0
        rate = np.log(base / spot0) / years
        mark = spot * np.exp((rate + b[i]) * (years - horizon))
    if kind != "option":
        entry = base if not np.isfinite(entry) else entry
        return mark - entry + carry * base if linear else mark / entry - 1 + carry
    if years <= horizon:
        at = spot0 * np.exp(states[0][0][i])
        payoff = np.maximum(at - strike, 0) if call else np.maximum(strike - at, 0)
        return payoff if linear else payoff * spot / at
    iv = market.assets[asset]["implied_volatility"]
    level = np.exp(y[i] * (TENOR[iv["reference_tenor"]] / max(years - horizon, TENOR[iv["minimum_tenor"]])) ** iv["term_power"])
    vol = np.sqrt(total_variance(market.slice[asset, expiry], np.log(strike / mark)) / years) * level
    value = black(mark, strike, vol * np.sqrt(years - horizon), call)
    return value if linear else value * spot / mark


def account_losses(market, holdings, paths=20000, seed=1):
    """One-day losses [paths] per account; `holdings`: account -> list of (instrument, quantity, entry)."""
    horizon = 1 / 365
    inside = pd.Timestamp("2026-02-05T08:00:00Z")
    states = simulate(market, [market.years(inside), horizon], [6, 6], paths, seed)
    cache, losses = {}, {}
    for account, rows in holdings.items():
        total = np.zeros(paths)
        for name, quantity, entry in rows:
            key = name, None if np.isnan(entry) else entry
            if key not in cache:
                cache[key] = (revalue(market, name, entry, horizon, states) - value_now(market, name, entry)).astype(np.float32)
            total -= quantity * cache[key]
        losses[account] = total
    return losses


def expected_shortfall(losses, confidence=0.99):
    """Mean of the worst (1 - confidence) share, and its standard error."""
    n = len(losses)
    tail = np.sort(losses)[-round(n * (1 - confidence)):]
    excess = np.maximum(losses - tail[0], 0)
    return tail.mean(), excess.std() / np.sqrt(n) / (1 - confidence)
