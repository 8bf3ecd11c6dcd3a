#!/usr/bin/env python3
"""Compiles scenarios/market from a folder of raw price, funding and option-chain histories.

    python compile_market.py DATA_FOLDER [--out ../market]

Needs numpy, pandas, scipy. The output depends on the data alone: run twice, same bytes.
Nothing after the snapshot's time enters an estimate (the crisis table is older still).
`scenarios/README.md` says what is estimated how. Ends with a self-check and a non-zero
status when the result has arbitrage, a correlation that is not one, or a missing row.
"""
import argparse
import os
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # sums in one order: the same bytes anywhere

import numpy as np
import pandas as pd
from scipy import optimize, special

from svi import WING_MAX, arbitrage, fit_surface, total_variance

AS_OF = pd.Timestamp("2026-02-04T21:33:08Z")
CHAIN = "deribit_chains/chain_20260204T213308Z.csv.gz"
IV_HISTORY = "deribit_chains/surface_history_931_snapshots.csv.gz"
ASSETS = "BTC ETH SOL XRP ADA DOGE BNB LTC LINK AVAX DOT TRX".split()
OPTIONED = ["BTC", "ETH"]
DECAY = 0.94  # EWMA of daily squares, RiskMetrics 1996
HISTORY_FROM = "2019-03-01"  # eight of the assets have a year of prices by then
COMMON_SIGMAS, OWN_SIGMAS = 3.0, 4.0
CALENDAR_K = (-2.0, 2.0)  # log-moneyness where calendar arbitrage is excluded; listed strikes span -1.5..2.0
LEAST_DIFFUSIVE_SHARE = 0.5  # of the EWMA variance; jumps are thinned to leave it
IV_MEAN_REVERSION = 8.0  # per year, assumed: 37 days of history do not identify it
CRISES = {  # window searched (UTC) for the worst 24 hours
    "march_2020": ("2020-03-11", "2020-03-14"),
    "may_2021": ("2021-05-18", "2021-05-21"),
    "june_2022": ("2022-06-12", "2022-06-15"),
    "november_2022": ("2022-11-07", "2022-11-11"),
    "august_2024": ("2024-08-03", "2024-08-07"),
    "october_2025": ("2025-10-10", "2025-10-12"),
}
QUICKSTART_ASSETS = ["BTC", "ETH", "SOL"]
QUICKSTART_EXPIRIES = ["2026-02-05", "2026-02-27", "2026-03-27"]


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("data", type=Path, help="folder with crypto_daily, crypto_hourly, deribit_chains, funding")
    args.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "market")
    args = args.parse_args()

    daily = pd.DataFrame({a: read_daily(args.data, a) for a in ASSETS})
    hourly = pd.read_csv(args.data / "crypto_hourly/hourly_close.csv.gz", index_col=0, parse_dates=True)
    hourly.index = hourly.index.tz_localize("UTC") + pd.Timedelta(hours=1)  # stamped at the close
    chain = pd.read_csv(args.data / CHAIN)

    forwards, surfaces = options(chain)
    spots = spot_prices(chain, hourly, daily)
    dynamics = estimate_dynamics(daily)
    implied = estimate_implied(args.data, hourly, dynamics)
    funding = funding_rates(args.data)
    crises = replay_crises(hourly, daily, implied)

    assets = {a: asset_record(a, spots, dynamics, implied, funding) for a in ASSETS}
    write_snapshot(args.out / "2026-02-04", assets, dynamics, forwards, surfaces)
    near = [e for e in forwards.expiry.unique() if e[:10] in QUICKSTART_EXPIRIES]
    write_snapshot(args.out / "quickstart", {a: assets[a] for a in QUICKSTART_ASSETS}, dynamics,
                   forwards[forwards.expiry.isin(near)], surfaces[surfaces.expiry.isin(near)])
    crises.to_csv(args.out / "crises.csv", index=False, lineterminator="\n")
    crises[crises.asset.isin(QUICKSTART_ASSETS)].to_csv(args.out / "quickstart/crises.csv", index=False, lineterminator="\n")
    sys.exit(self_check(args.out))


def read_daily(data, asset):
    """Closes of bars closed before the snapshot, indexed by the bar's date."""
    close = pd.read_csv(data / f"crypto_daily/{asset}.csv", index_col=0, parse_dates=True).close
    return close.tz_localize("UTC")[:AS_OF.floor("D")]


# ---- options: forwards and SVI slices -------------------------------------------------------


def options(chain):
    forward_rows, surface_rows = [], []
    for asset in OPTIONED:
        slices, quotes, expiries = [], [], []
        for expiry, rows in chain[chain.ccy == asset].groupby("expiry_utc"):
            forward = rows.forward.median()  # rows are seconds apart: up to 0.06 % spread inside an expiry
            years = (pd.Timestamp(expiry, tz="UTC") - AS_OF).total_seconds() / (365 * 86400)
            slices.append((years, *usable_quotes(rows, forward)))
            quotes.append(len(slices[-1][1]))
            expiries.append((expiry.replace(" ", "T") + ":00Z", round(forward, 2)))
        for (expiry, forward), n, p, (years, k, vol, _) in zip(expiries, quotes, fit_surface(slices, CALENDAR_K), slices):
            p = np.array([round(x, 9) for x in p])
            error = np.sqrt(total_variance(p, k) / years) - vol
            forward_rows.append((asset, expiry, forward))
            surface_rows.append((asset, expiry, *p, forward, n, round(np.sqrt(np.mean(error**2)), 5), round(np.abs(error).max(), 5)))
    columns = "asset expiry a b rho m sigma forward quotes rmse_vol max_error_vol".split()
    return pd.DataFrame(forward_rows, columns=["asset", "expiry", "forward"]), pd.DataFrame(surface_rows, columns=columns)


def usable_quotes(rows, forward):
    """(log-moneyness, mark vol, weight) of two-sided out-of-the-money quotes that hold their mark."""
    size = rows.delta.abs()
    q = rows[(rows.bid > 0) & (rows.ask > 0) & rows.mark.between(rows.bid, rows.ask) & size.between(0.01, 0.55)]
    q = q.sort_values(["strike", "cp"])
    spread = (q.ask_iv_calc - q.bid_iv_calc).fillna(0.3)
    weight = (q.vega_usd / q.vega_usd.max()) ** 0.25 / (1 + spread / 0.05)
    return np.log(q.strike / forward).values, q.mark_iv.values, (weight / np.sqrt((weight**2).sum())).values


# ---- spots, funding --------------------------------------------------------------------------


def spot_prices(chain, hourly, daily):
    """Index of the option venue; else hourly closes interpolated to the minute; else a daily close."""
    before, after = AS_OF.floor("h"), AS_OF.ceil("h")
    share = (AS_OF - before) / (after - before)
    spots = {}
    for a in ASSETS:
        if a in OPTIONED:
            spots[a] = chain[chain.ccy == a]["index"].median()
        elif a in hourly and hourly[a].loc[before:after].notna().sum() == 2:
            spots[a] = np.exp((1 - share) * np.log(hourly[a][before]) + share * np.log(hourly[a][after]))
        else:
            spots[a] = daily[a].iloc[-1]  # bar of the snapshot's own day, closes 2 h 27 min later
        spots[a] = float(f"{spots[a]:.6g}") if a not in OPTIONED else round(spots[a], 2)
    return spots


def funding_rates(data):
    """Annualised mean of the 8-hourly rates of the seven days before the snapshot."""
    f = pd.read_csv(data / "funding/funding_rates.csv.gz")
    time = pd.to_datetime(f.time_utc, utc=True)
    week = f[(f.exchange == "binance") & (time <= AS_OF) & (time > AS_OF - pd.Timedelta(days=7))]
    rate = week.groupby("coin").funding_rate_per_interval.mean() * 3 * 365
    return {a: float(rate.get(a, rate.mean())) for a in ASSETS}


# ---- volatility, jumps, tails, correlation ---------------------------------------------------


def estimate_dynamics(daily):
    returns = np.log(daily[daily.index < AS_OF.floor("D")]).diff()
    variance = (returns**2).ewm(alpha=1 - DECAY, ignore_na=True).mean()
    started = returns.notna().cumsum() > 60  # warm-up of the average
    z = (returns / np.sqrt(variance.shift(1))).where(started)[HISTORY_FROM:]
    returns = returns.reindex(z.index)
    years = len(z) / 365

    extreme, listed = (z.abs() > COMMON_SIGMAS).sum(axis=1), z.notna().sum(axis=1)
    common = (extreme >= 6) | ((extreme * 2 >= listed) & (listed >= 6))
    btc = returns.BTC[common]
    jumps = dict(intensity=round(common.sum() / years, 2), law="merton", mean=round(btc.mean(), 4), sd=round(btc.std(ddof=0), 4))
    square = jumps["mean"] ** 2 + jumps["sd"] ** 2

    calm_z, calm_returns = z[~common], returns[~common]
    per_asset = {}
    for a in ASSETS:
        days = returns[a][common].dropna()
        loading = round((days * btc[days.index]).sum() / (btc[days.index] ** 2).sum(), 3)
        ewma = variance[a].iloc[-1] * 365
        sizes, asset_years = own_jump_sizes(a, calm_returns)
        own, own_square = jump_law(sizes, asset_years)
        room = max((1 - LEAST_DIFFUSIVE_SHARE) * ewma - jumps["intensity"] * loading**2 * square, 0.0)
        own["intensity"] = round(min(own["intensity"], 0.999 * room / own_square), 3)
        diffusive = ewma - jumps["intensity"] * loading**2 * square - own["intensity"] * own_square
        per_asset[a] = dict(volatility=round(np.sqrt(max(diffusive, LEAST_DIFFUSIVE_SHARE * ewma)), 4), ewma=np.sqrt(ewma),
                            loading=loading, own_jumps=own, own_days=list(sizes.index))
    full = calm_z.dropna()
    weights = 0.97 ** np.arange(len(full))[::-1]
    correlation = shrunk_correlation(np.clip(full.values, -4, 4), weights)
    return dict(assets=per_asset, common=jumps, common_days=list(z.index[common]), variance=variance,
                dof=round(student_dof(full.values), 2), correlation=pd.DataFrame(correlation, ASSETS, ASSETS), days=len(z))


def own_jump_sizes(asset, returns):
    """Days where the part not explained by bitcoin exceeds OWN_SIGMAS of its own EWMA deviation."""
    pair = returns[[asset, "BTC"]].dropna() if asset != "BTC" else returns[["BTC"]].dropna()
    residual = pair[asset]
    if asset != "BTC":
        residual = residual - pair.BTC * (pair.BTC * pair[asset]).sum() / (pair.BTC**2).sum()
    deviation = np.sqrt((residual**2).ewm(alpha=1 - DECAY).mean().shift(1))
    ratio = (residual / deviation).iloc[60:]
    return residual[ratio.index][ratio.abs() > OWN_SIGMAS], len(ratio) / 365


def jump_law(sizes, years):
    """The likelier of Merton's and Kou's laws, and its mean square."""
    intensity, mean, sd = len(sizes) / years, sizes.mean(), sizes.std(ddof=0)
    merton = dict(intensity=intensity, law="merton", mean=round(mean, 4), sd=round(sd, 4))
    up, down = sizes[sizes > 0], -sizes[sizes < 0]
    if min(len(up), len(down)) < 3:
        return merton, mean**2 + sd**2
    normal = -len(sizes) * (np.log(sd) + 0.5 * np.log(2 * np.pi) + 0.5)
    p, rate_up, rate_down = len(up) / len(sizes), 1 / up.mean(), 1 / down.mean()
    kou = sum(len(s) * (np.log(w * rate) - 1) for s, w, rate in ((up, p, rate_up), (down, 1 - p, rate_down)))
    if kou <= normal:
        return merton, mean**2 + sd**2
    return (dict(intensity=intensity, law="kou", up_probability=round(p, 4), up_rate=round(rate_up, 3), down_rate=round(rate_down, 3)),
            2 * p / rate_up**2 + 2 * (1 - p) / rate_down**2)


def shrunk_correlation(z, weights, shrink=0.2):
    """Weighted correlation drawn a fifth of the way to equal correlations; positive definite."""
    cov = (z * weights[:, None]).T @ z / weights.sum()
    corr = cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    n = len(corr)
    target = np.full((n, n), (corr.sum() - n) / (n * (n - 1)))
    corr = (1 - shrink) * corr + shrink * target
    np.fill_diagonal(corr, 1.0)
    return np.round(corr, 5)


def student_dof(z):
    """Degrees of freedom of a multivariate t with the sample's covariance, by maximum likelihood."""
    z = z / z.std(axis=0)
    d = z.shape[1]
    distance = np.einsum("ij,jk,ik->i", z, np.linalg.inv(np.corrcoef(z.T)), z)

    def loss(nu):
        one = special.gammaln((nu + d) / 2) - special.gammaln(nu / 2) - d / 2 * np.log(nu - 2)
        return -(len(z) * one - (nu + d) / 2 * np.log1p(distance / (nu - 2)).sum())

    return optimize.minimize_scalar(loss, bounds=(2.1, 50), method="bounded").x


# ---- the implied-volatility level ------------------------------------------------------------


def estimate_implied(data, hourly, dynamics):
    h = pd.read_csv(data / IV_HISTORY)
    h["time"] = pd.to_datetime(h.snapshot_utc, format="%Y%m%dT%H%M%SZ", utc=True)
    h = h[h.time <= AS_OF]
    realised = realised_vol(hourly)
    out = {"realised": realised}
    for a in OPTIONED:
        rows = h[h.currency == a]
        level = {days: constant_maturity(rows, days) for days in (2, 3, 7, 14, 30, 90, 180)}
        index = rows.groupby("time")["index"].median()
        moves = {days: np.log(iv).diff(4).dropna() for days, iv in level.items()}  # four snapshots: about a day
        move, spot_move = moves[30], np.log(index).diff(4).dropna()
        years = (pd.Series(index.index, index.index).diff(4).dt.total_seconds() / (365 * 86400)).dropna()
        tenors = [d for d in moves if d != 30]
        slopes = np.array([(moves[d] * move).sum() / (move**2).sum() for d in tenors])
        x = np.log(30 / np.array(tenors))
        at = realised[a].reindex(index.index, method="ffill")
        rv_move = np.log(at).diff(4).dropna()
        up = rv_move > 0  # volatility rises in jumps and falls by decay: only rises inform the shift
        elasticity = (move[up] * rv_move[up]).sum() / (rv_move[up] ** 2).sum()
        rates = basis(rows, 50)
        step = rates.diff(20).dropna()
        step_years = (pd.Series(rates.index, rates.index).diff(20).dt.total_seconds() / (365 * 86400)).dropna()
        variance = dynamics["variance"][a]
        rise = np.log(variance / variance.shift(1)) / 2
        down = spot_move < 0
        spot_slope = (move * spot_move)[down].sum() / (spot_move[down] ** 2).sum()
        out[a] = dict(observations=len(index), elasticity=elasticity, spot_slope=spot_slope, slopes=dict(zip(tenors, slopes.round(2))),
                      volatility=round(np.sqrt((move**2).mean() / years.mean()), 3), spot_correlation=round(np.corrcoef(move, spot_move)[0, 1], 3),
                      term_power=round((x * np.log(slopes)).sum() / (x**2).sum(), 2),
                      common_jump_shift=round(elasticity * rise[dynamics["common_days"]].mean(), 3),
                      own_jump_shift=round(elasticity * rise[dynamics["assets"][a]["own_days"]].mean(), 3),
                      basis=round(np.sqrt((step**2).mean() / step_years.mean()), 3))
    return out


def realised_vol(hourly):
    """EWMA of hourly squares with the daily decay, annualised, known at the index time."""
    squares = np.log(hourly).diff() ** 2
    return np.sqrt(squares.ewm(alpha=1 - DECAY ** (1 / 24), ignore_na=True).mean() * 24 * 365)


def constant_maturity(rows, days):
    """At-the-money vol at a fixed tenor, linear in total variance between listed expiries."""
    def one(s):
        s = s.sort_values("T_years")
        return np.sqrt(np.interp(days / 365, s.T_years, s.atm_iv**2 * s.T_years) / (days / 365))
    return pd.Series({t: one(s) for t, s in rows.groupby("time")})


def basis(rows, days):
    def one(s):
        s = s[s.T_years > 10 / 365].sort_values("T_years")
        return np.interp(days / 365, s.T_years, np.log(s.forward / s["index"]) / s.T_years)
    return pd.Series({t: one(s) for t, s in rows.groupby("time")})


# ---- crises ----------------------------------------------------------------------------------


def replay_crises(hourly, daily, implied):
    """Joint log-returns of the 24 hours with the lowest median return; proxies are beta times bitcoin."""
    rows = []
    log_h, log_d = np.log(hourly), np.log(daily)
    day_h, day_r = log_h.diff(24), log_d.diff()
    for crisis, (start, stop) in CRISES.items():
        window = day_h[start:stop].dropna(axis=1, how="all").dropna()
        end = window.median(axis=1).idxmin()
        begin = end - pd.Timedelta(hours=24)
        rv = implied["realised"]
        bars = log_d[pd.Timestamp(start, tz="UTC"):pd.Timestamp(stop, tz="UTC")].index
        day = day_r.loc[bars].median(axis=1).idxmin()
        for a in ASSETS:
            iv = implied[a if a in OPTIONED else "ETH"]
            if a in window:
                value, method = window[a][end], "observed"
                realised = np.log(rv[a][end] / rv[a][begin])
            else:
                value, method = day_r[a].get(day, np.nan), "observed"  # no hourly history: its daily bar
                if not np.isfinite(value):
                    past = day_r[[a, "BTC"]].dropna()[:AS_OF].tail(730)
                    value = (past[a] * past.BTC).sum() / (past.BTC**2).sum() * window.BTC[end]
                    method = "proxy"
                realised = np.log(rv.BTC[end] / rv.BTC[begin])
            # the larger of two estimates of the 30-day level's rise: from the fall of spot, from realised volatility
            shift = max(iv["spot_slope"] * min(value, 0.0), iv["elasticity"] * realised)
            rows.append((crisis, a, round(value, 5), round(shift, 3), method))
        print(f"{crisis}: 24 h to {end:%Y-%m-%d %H:%M}Z, BTC {window.BTC[end]:.3f}, median {window.loc[end].median():.3f}, daily bar {day:%Y-%m-%d}")
    return pd.DataFrame(rows, columns="crisis asset log_return volatility_shift method".split())


# ---- writing ---------------------------------------------------------------------------------


def asset_record(a, spots, dynamics, implied, funding):
    d, iv = dynamics["assets"][a], implied[a if a in OPTIONED else "ETH"]
    record = dict(name=a, spot=spots[a], volatility=d["volatility"], drift=0.0, tail_group="crypto", own_jumps=d["own_jumps"],
                  common_jump_loading=d["loading"])
    if a in OPTIONED:
        record["implied_volatility"] = dict(
            mean_reversion=IV_MEAN_REVERSION, volatility=iv["volatility"], spot_correlation=iv["spot_correlation"],
            common_jump_shift=iv["common_jump_shift"], own_jump_shift=iv["own_jump_shift"],
            reference_tenor="30d", term_power=iv["term_power"], minimum_tenor="1d")
    record["basis_volatility"] = iv["basis"]
    record["funding_rate"] = round(funding[a], 4)
    print(f"{a}: spot {spots[a]} ewma {d['ewma']:.3f} diffusive {d['volatility']} loading {d['loading']} own {d['own_jumps']} n={len(d['own_days'])}"
          + (f" iv {iv}" if a in OPTIONED else ""))
    return record


def flow(mapping):
    return "{" + ", ".join(f"{k}: {v:.10g}" if isinstance(v, (float, int)) else f"{k}: {v}" for k, v in mapping.items()) + "}"


def write_snapshot(folder, assets, dynamics, forwards, surfaces):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Market snapshot. Rates, volatilities and jump intensities are annual; times are UTC; a year is 365 days.",
        "# scenarios/README.md tells how each number was compiled; scenarios/compile/compile_market.py does it.",
        f"as_of: {AS_OF:%Y-%m-%dT%H:%M:%SZ}",
        'source: "Compiled from public Deribit option quotes (spots, forwards, surfaces), Binance and OKX closing prices and Binance'
        ' funding rates up to the snapshot. Jump, tail and volatility parameters are our estimates."',
        "discount_rate: 0.0",
        "assets:",
    ]
    for record in assets.values():
        for i, (key, value) in enumerate(record.items()):
            text = flow(value) if isinstance(value, dict) else (f"{value:.10g}" if isinstance(value, (float, int)) else value)
            lines.append(("  - " if i == 0 else "    ") + f"{key}: {text}")
    lines += [
        f"tail_groups: {{crypto: {{degrees_of_freedom: {dynamics['dof']}}}}}",
        f"common_jumps: {flow(dynamics['common'])}",
        "correlation: correlation.csv",
        "forwards: forwards.csv",
        "surfaces: surfaces.csv",
    ]
    (folder / "market.yaml").write_text("\n".join(lines) + "\n")
    names = list(assets)
    dynamics["correlation"].loc[names, names].to_csv(folder / "correlation.csv", index_label="asset", lineterminator="\n")
    forwards.to_csv(folder / "forwards.csv", index=False, lineterminator="\n")
    surfaces.to_csv(folder / "surfaces.csv", index=False, lineterminator="\n")


# ---- self-check: reads what was written ------------------------------------------------------


def self_check(out):
    failures = []

    def require(holds, message):
        if not holds:
            failures.append(message)

    for name, count, expiries in (("2026-02-04", len(ASSETS), 12), ("quickstart", len(QUICKSTART_ASSETS), 3)):
        folder = out / name
        corr = pd.read_csv(folder / "correlation.csv", index_col=0)
        require(corr.shape == (count, count) and list(corr.index) == list(corr.columns), f"{name}: correlation has the wrong shape")
        require(np.allclose(np.diag(corr), 1, atol=0) and (corr.values == corr.values.T).all(), f"{name}: correlation diagonal or symmetry")
        require(np.linalg.eigvalsh(corr.values).min() > 1e-4, f"{name}: correlation is not positive definite")
        surfaces = pd.read_csv(folder / "surfaces.csv")
        forwards = pd.read_csv(folder / "forwards.csv")
        require(np.isfinite(forwards.forward).all() and (forwards.forward > 0).all(), f"{name}: forwards")
        for asset in OPTIONED:
            s = surfaces[surfaces.asset == asset].sort_values("expiry")
            require(len(s) == expiries, f"{name}: {asset} has {len(s)} slices, expected {expiries}")
            g, step, wing, least = arbitrage(s[["a", "b", "rho", "m", "sigma"]].values)
            print(f"{name} {asset}: least g {g:.2e}, calendar step {step:.2e}, wing {wing:.3f}, least variance {least:.2e}, "
                  f"worst rmse {s.rmse_vol.max():.4f}, worst error {s.max_error_vol.max():.4f}")
            require(g >= 0, f"{name}: {asset} has butterfly arbitrage, g = {g}")
            require(step >= 0, f"{name}: {asset} has calendar arbitrage, step = {step}")
            require(wing <= WING_MAX + 1e-6 and least > 0, f"{name}: {asset} wing {wing} or least variance {least}")
            require(s.rmse_vol.max() < 0.03, f"{name}: {asset} fits badly")
    crises = pd.read_csv(out / "crises.csv")
    require(len(crises) == len(CRISES) * len(ASSETS), f"crises.csv has {len(crises)} rows")
    require(np.isfinite(crises[["log_return", "volatility_shift"]]).all().all(), "crises.csv has gaps")
    for message in failures:
        print("FAILED:", message, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    main()
