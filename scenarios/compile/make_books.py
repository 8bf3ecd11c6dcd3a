#!/usr/bin/env python3
"""Writes the example books scenarios/nightly and scenarios/quickstart, the same bytes each time.

    python make_books.py DATA_FOLDER [--report FILE]

The chain in DATA_FOLDER says which options were listed and held; the accounts are invented. Run
compile_market.py first. Balances are set so that each account starts at its intended health
(equity / one-day 99 % ES), by the small Monte Carlo of reference_es.py; --report writes what it found.
"""
import argparse
import os
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # sums in one order: the same bytes anywhere

import numpy as np
import pandas as pd
import yaml

from reference_es import CASH, Market, account_losses, black, expected_shortfall, parse, value_now
from svi import total_variance

HERE = Path(__file__).resolve().parent
CHAIN = "deribit_chains/chain_20260204T213308Z.csv.gz"
LINEAR_PERPETUALS = "SOL XRP ADA DOGE BNB LTC LINK AVAX DOT TRX".split()


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("data", type=Path)
    args.add_argument("--out", type=Path, default=HERE.parent)
    args.add_argument("--report", type=Path)
    args = args.parse_args()
    chain = pd.read_csv(args.data / CHAIN)
    report = []
    for name, market, books in (("nightly", "2026-02-04", nightly), ("quickstart", "quickstart", quickstart)):
        desk = Desk(Market(args.out / "market" / market / "market.yaml"), chain)
        books(desk)
        haircuts = yaml.safe_load((args.out / f"{name}.yaml").read_text())["margin"]["haircuts"]
        report.append(desk.write(args.out / name, haircuts).assign(book=name))
    report = pd.concat(report)
    print(report.to_string(index=False))
    if args.report:
        report.to_csv(args.report, index=False)


class Desk:
    """Collects accounts; picks listed options by expiry and moneyness or delta."""

    def __init__(self, market, chain):
        self.market = market
        rows = chain[["instrument", "ccy", "cp", "strike", "open_interest"]].copy()
        rows["expiry"] = pd.to_datetime(chain.expiry_utc, utc=True)
        rows = rows[[k in market.slice for k in zip(rows.ccy, rows.expiry)]]
        rows["years"] = rows.expiry.map(market.years)
        rows["forward"] = [market.forward[k] for k in zip(rows.ccy, rows.expiry)]
        k = np.log(rows.strike / rows.forward)
        w = np.array([total_variance(market.slice[a, e], x) for a, e, x in zip(rows.ccy, rows.expiry, k)])
        rows["vol"] = np.sqrt(w / rows.years)
        rows["k"], rows["z"] = k, k / np.sqrt(w)  # z: standard deviations out of the money
        self.listed = rows.sort_values(["ccy", "years", "strike", "cp"]).reset_index(drop=True)
        self.accounts = []

    def account(self, name, description, health, *positions, collateral=None):
        """`collateral`: {asset: share of equity}; what is left is in USD. {} with health None: balances as given."""
        self.accounts.append((name, description, health, list(positions), collateral or {}))

    def option(self, asset, expiry, cp, z, linear=False):
        """The held option of that expiry (as 27MAR26) nearest to z standard deviations from the forward."""
        rows = self.listed
        rows = rows[rows.instrument.str.startswith(f"{asset}-{expiry}-") & (rows.cp == cp) & (rows.open_interest > 0)]
        name = rows.instrument.iloc[(rows.z - z).abs().argmin()]
        return name.replace(asset, asset + "_USDC", 1) if linear else name

    def inventory(self, asset, count, size, seed, short_bias=0.0, wing=3.0):
        """`count` held options over all expiries, signed lots that grow with open interest."""
        rng = np.random.default_rng(seed)
        rows = self.listed[(self.listed.ccy == asset) & (self.listed.open_interest > 0) & (self.listed.z.abs() < wing)]
        first = rows[rows.years == rows.years.min()]
        pick = rows.iloc[np.sort(rng.choice(len(rows), min(count, len(rows)), replace=False))]
        pick = pd.concat([pick, first]).drop_duplicates("instrument")
        lots = size * rng.lognormal(0, 0.8, len(pick)) * np.sqrt(pick.open_interest / pick.open_interest.median())
        lots = np.minimum(lots, 0.3 * pick.open_interest)
        sign = np.where(rng.random(len(pick)) < 0.5 + short_bias / 2, -1, 1)
        step = 0.1 if asset == "BTC" else 1.0
        quantity = np.maximum(np.round(lots / step), 1) * step * sign
        return [(n, round(q, 1)) for n, q in zip(pick.instrument, quantity)]

    def delta(self, name):
        """Coins of underlying per unit of the instrument, from a one-per-mille bump of the spot."""
        asset, kind, expiry, strike, call, linear = parse(name)
        spot = self.market.assets[asset]["spot"]
        if kind != "option":
            return 1.0 if linear else 1.0 / spot
        forward, years = self.market.forward[asset, expiry], self.market.years(expiry)
        deviation = lambda f: np.sqrt(total_variance(self.market.slice[asset, expiry], np.log(strike / f)))
        value = lambda f: black(f, strike, deviation(f), call)
        return (value(1.001 * forward) - value(0.999 * forward)) / (0.002 * spot)

    def hedge(self, positions, asset, share=1.0):
        """Adds the inverse perpetual that offsets `share` of the delta in that asset."""
        coins = sum(q * self.delta(n) for n, q, *_ in positions if parse(n)[0] == asset)
        usd = -share * coins * self.market.assets[asset]["spot"]
        return positions + [(f"{asset}-PERPETUAL", round(usd, -3))]

    def write(self, folder, haircuts):
        folder.mkdir(parents=True, exist_ok=True)
        spot = lambda a: 1.0 if a in CASH else self.market.assets[a]["spot"]
        holdings = {n: [(p[0], float(p[1]), float(p[2]) if len(p) > 2 else np.nan) for p in ps] for n, _, _, ps, _ in self.accounts}
        held = {n: sum(q * value_now(self.market, i, e) for i, q, e in rows) for n, rows in holdings.items()}
        risk = {n: expected_shortfall(l)[0] for n, l in account_losses(self.market, holdings).items()}
        balances = {}
        for n, _, health, _, collateral in self.accounts:
            balances[n] = dict(collateral) if health is None else {}
        for _ in range(4):  # coin collateral has risk of its own: a few rounds settle it
            for n, _, health, _, collateral in self.accounts:
                if health is None:
                    continue
                need = health * risk[n]
                coins = {a: tidy(share * need / spot(a)) for a, share in collateral.items()}
                worth = sum(q * spot(a) * (1 - haircuts.get(a, 0.0)) for a, q in coins.items())
                digit = 10.0 ** (np.floor(np.log10(need)) - 2)  # cash to three digits of the equity wanted
                cash = round((need - held[n] - worth) / digit) * digit
                balances[n] = {**coins, "USD": cash} if cash else coins
            full = {n: rows + [(a, q, np.nan) for a, q in balances[n].items() if a not in CASH] for n, rows in holdings.items()}
            losses = account_losses(self.market, full)
            risk = {n: max(expected_shortfall(l)[0], 1.0) for n, l in losses.items()}
        report = []
        for n, rows in holdings.items():
            worth = sum(q * spot(a) * (1 - haircuts.get(a, 0.0) * (q > 0)) for a, q in balances[n].items())
            es, error = expected_shortfall(losses[n])
            gross = sum(abs(q) * (abs(self.delta(i)) * spot(parse(i)[0]) if parse(i)[1] != "option" else spot(parse(i)[0])) for i, q, _ in rows)
            report.append((n, len(rows), gross, held[n] + worth, es, error, (held[n] + worth) / max(es, 1.0)))
        lines = lambda header, rows: "\n".join([header, *rows]) + "\n"
        (folder / "accounts.csv").write_text(lines("account,description", [f"{n},{d}" for n, d, *_ in self.accounts]))
        (folder / "positions.csv").write_text(lines("account,instrument,quantity,entry_price", [
            f"{n},{i},{q:.10g},{'' if np.isnan(e) else f'{e:.10g}'}" for n, rows in holdings.items() for i, q, e in rows]))
        (folder / "balances.csv").write_text(lines("account,asset,amount", [f"{n},{a},{q:.10g}" for n in holdings for a, q in balances[n].items()]))
        self.check(holdings)
        columns = "account positions gross_usd equity_usd es99_1d_usd standard_error_usd health".split()
        return pd.DataFrame(report, columns=columns).round({c: 0 for c in columns[2:6]}).round({"health": 2})

    def check(self, holdings):
        """Every option is listed, no instrument twice in an account, descriptions hold no comma."""
        listed = set(self.listed.instrument)
        used = {i for rows in holdings.values() for i, _, _ in rows}
        options = {i for i in used if parse(i)[1] == "option"}
        unlisted = [i for i in options if i.replace("_USDC", "") not in listed]
        assert not unlisted, f"not listed: {unlisted}"
        for n, rows in holdings.items():
            assert len({i for i, *_ in rows}) == len(rows), f"{n} holds an instrument twice"
            assert all(np.isfinite(q) and q != 0 for _, q, _ in rows), f"{n} has an empty position"
        assert not [d for _, d, *_ in self.accounts if "," in d], "a description holds a comma"
        print(f"{len(holdings)} accounts, {sum(map(len, holdings.values()))} positions, {len(used)} instruments, {len(options)} listed options,"
              f" {len({parse(i)[0] for i in used})} assets")


def tidy(x):
    """Three significant digits."""
    return float(f"{x:.3g}") if abs(x) > 1e-9 else 0.0


def nightly(desk):
    o, account = desk.option, desk.account
    # Market makers: hundreds of options, delta-hedged with the perpetual.
    for name, asset, count, size, bias, seed, health in (
            ("mm-btc-01", "BTC", 260, 12, 0.0, 11, 2.6), ("mm-btc-02", "BTC", 190, 5, 0.15, 12, 1.8),
            ("mm-eth-01", "ETH", 280, 150, 0.0, 14, 2.2), ("mm-eth-02", "ETH", 200, 60, 0.2, 15, 1.5)):
        account(name, f"Option market maker in {asset} across all expiries with its delta hedged", health,
                *desk.hedge(desk.inventory(asset, count, size, seed, bias), asset), collateral={asset: 0.4, "USDC": 0.3})
    both = desk.inventory("BTC", 70, 4, 16, 0.1) + desk.inventory("ETH", 90, 80, 17, 0.1)
    account("mm-cross-01", "Market maker in both underlyings; BTC delta hedged and half of ETH", 1.9,
            *desk.hedge(desk.hedge(both, "BTC"), "ETH", 0.5), collateral={"BTC": 0.3, "ETH": 0.2})

    # Income: calls sold against coins, puts sold against cash, strangles.
    account("covered-call-01", "Long 40 BTC and short 27 February calls one deviation up", None,
            (o("BTC", "27FEB26", "C", 1.0), -40), collateral={"BTC": 40, "USD": -1400000})
    account("covered-call-02", "Long 900 ETH and short March calls at two strikes", None,
            (o("ETH", "27MAR26", "C", 0.7), -500), (o("ETH", "27MAR26", "C", 1.3), -400), collateral={"ETH": 900, "USD": -900000})
    account("covered-call-03", "Spot BTC as a position with weekly linear calls sold", 2.4,
            ("BTC", 25), (o("BTC", "13FEB26", "C", 0.8, linear=True), -25))
    account("put-seller-01", "Sells 27 February BTC puts at three strikes", 1.7,
            *[(o("BTC", "27FEB26", "P", z), -q) for z, q in ((-0.6, 20), (-1.2, 40), (-1.9, 80))], collateral={"USDC": 0.8})
    account("put-seller-02", "Sells ETH puts from one week to six months", 2.2,
            *[(o("ETH", e, "P", -1.0), -q) for e, q in (("13FEB26", 300), ("27FEB26", 400), ("27MAR26", 400), ("26JUN26", 250))])
    account("put-seller-03", "Sells far out-of-the-money BTC puts in size: little premium and a deep tail", 1.1,
            (o("BTC", "6FEB26", "P", -2.2), -350), (o("BTC", "13FEB26", "P", -2.4), -250), collateral={"BTC": 0.5})
    account("short-strangle-01", "Short 27 February BTC strangle one deviation wide", 2.0,
            (o("BTC", "27FEB26", "C", 1.0), -60), (o("BTC", "27FEB26", "P", -1.0), -60))
    account("short-strangle-02", "Short ETH straddle and strangle in March", 1.3,
            (o("ETH", "27MAR26", "C", 0.0), -300), (o("ETH", "27MAR26", "P", 0.0), -300), (o("ETH", "27MAR26", "C", 1.2), -500), (o("ETH", "27MAR26", "P", -1.2), -500))
    account("overnight-01", "Short options that expire tomorrow at 08:00 UTC: gamma inside the horizon", 1.6,
            (o("BTC", "5FEB26", "C", 0.5), -40), (o("BTC", "5FEB26", "P", -0.5), -40), (o("ETH", "5FEB26", "C", 1.0), -600), (o("ETH", "5FEB26", "P", -1.0), -600))
    account("overnight-02", "Long straddle that expires tomorrow; the loss is bounded by the premium", 3.0,
            (o("BTC", "5FEB26", "C", 0.0), 30), (o("BTC", "5FEB26", "P", 0.0), 30))

    # Spreads with a bounded loss, skew and volatility views.
    for i, (asset, q, expiry) in enumerate((("BTC", 50, "27FEB26"), ("ETH", 900, "27MAR26")), 1):
        account(f"iron-condor-0{i}", f"{asset} iron condor: the loss stops at the outer strikes", 2.5 - i * 0.4,
                (o(asset, expiry, "P", -2.0), q), (o(asset, expiry, "P", -1.0), -q), (o(asset, expiry, "C", 1.0), -q), (o(asset, expiry, "C", 2.0), q))
    account("calendar-01", "Sells near BTC volatility and buys the same strike further out", 2.1,
            ("BTC-13FEB26-74000-C", -40), ("BTC-27MAR26-74000-C", 25), ("BTC-26JUN26-75000-C", 10))
    account("calendar-02", "Future calendar: long June and short March BTC in inverse futures", 3.5,
            ("BTC-26JUN26", 12000000), ("BTC-27MAR26", -12000000), collateral={"BTC": 0.5})
    account("risk-reversal-01", "Long BTC upside against short downside in March; delta hedged", 1.8,
            *desk.hedge([(o("BTC", "27MAR26", "C", 1.0), 60), (o("BTC", "27MAR26", "P", -1.0), -60)], "BTC"))
    account("risk-reversal-02", "ETH risk reversal the other way: long puts and short calls", 2.0,
            (o("ETH", "26JUN26", "C", 1.0), -700), (o("ETH", "26JUN26", "P", -1.0), 700))
    account("dispersion-01", "Long ETH volatility against short BTC volatility in March; both deltas hedged", 2.3,
            *desk.hedge(desk.hedge([(f"BTC-27MAR26-74000-{c}", -50) for c in "CP"] + [(o("ETH", "27MAR26", c, 0.0), 1300) for c in "CP"], "BTC"), "ETH"))
    account("long-vol-01", "Owns BTC and ETH straddles and wings", 4.5,
            (o("BTC", "27FEB26", "C", 0.0), 15), (o("BTC", "27FEB26", "P", 0.0), 15), (o("BTC", "26JUN26", "P", -1.5), 60), (o("ETH", "27FEB26", "C", 0.0), 250), (o("ETH", "27FEB26", "P", 0.0), 250))
    account("leap-calls-01", "Long-dated calls bought with coin collateral", 1.9,
            *[(o("BTC", "25DEC26", "C", z), q) for z, q in ((0.3, 30), (0.8, 50), (1.3, 80))], (o("ETH", "25SEP26", "C", 1.0), 900), collateral={"BTC": 0.6})
    account("collar-01", "Treasury: long BTC with bought puts and sold calls", 3.0,
            ("BTC", 100), (o("BTC", "27MAR26", "P", -0.8, linear=True), 100), (o("BTC", "27MAR26", "C", 0.8, linear=True), -100))
    account("ratio-spread-01", "Long one near call and short two further up", 1.5,
            (o("ETH", "20FEB26", "C", 0.3), 800), (o("ETH", "20FEB26", "C", 1.1), -1600))

    # Basis and funding trades.
    account("basis-01", "Cash and carry: spot BTC against the short inverse March future", 4.0, ("BTC", 200), ("BTC-27MAR26", -14650000))
    account("basis-02", "Short perpetual against the long June future; inverse both", 2.5, ("BTC-PERPETUAL", -20000000), ("BTC-26JUN26", 20100000), collateral={"BTC": 0.5})
    account("basis-03", "ETH linear: long March future against the short perpetual", 2.2, ("ETH_USDC-27MAR26", 4000), ("ETH_USDC-PERPETUAL", -4000), collateral={"USDC": 0.9})
    account("basis-04", "Funding carry: spot SOL XRP DOGE and AVAX against short perpetuals", 3.0,
            *[p for a, q in (("SOL", 8000), ("XRP", 500000), ("DOGE", 6000000), ("AVAX", 60000)) for p in ((a, q), (f"{a}_USDC-PERPETUAL", -0.98 * q))])
    account("near-flat-01", "Inverse against linear exposure at 300 million gross: the ES is a ten-thousandth of it", 2.0,
            ("BTC-PERPETUAL", 150000000), ("BTC_USDC-PERPETUAL", -2048.2))

    # Directional, many with leverage.
    account("perp-long-01", "Leveraged long BTC perpetual entered higher", 1.3, ("BTC-PERPETUAL", 9000000, 76200), collateral={"BTC": 0.7})
    account("perp-long-02", "Long linear SOL and AVAX close to liquidation", 1.05, ("SOL_USDC-PERPETUAL", 30000, 97.5), ("AVAX_USDC-PERPETUAL", 90000, 10.05), collateral={"USDC": 0.9})
    account("perp-long-03", "Under water: long ETH entered far higher; equity below its margin", 0.55, ("ETH_USDC-PERPETUAL", 2500, 2870), collateral={"ETH": 0.4})
    account("perp-short-01", "Short BTC and ETH perpetuals in profit", 2.8, ("BTC-PERPETUAL", -6000000, 79800), ("ETH-PERPETUAL", -4000000, 2420), collateral={"USDC": 0.6})
    account("perp-short-02", "Short DOGE and XRP: exposed to jumps up", 0.9, ("DOGE_USDC-PERPETUAL", -9000000, 0.1012), ("XRP_USDC-PERPETUAL", -700000, 1.548))
    account("spot-only-01", "Long-only holder of five coins; no borrowing", None, ("LINK", 20000), ("DOT", 100000), collateral={"BTC": 12, "ETH": 250, "SOL": 1500})
    altcoins = [(f"{a}_USDC-PERPETUAL", q) for a, q in zip(LINEAR_PERPETUALS, (5000, -250000, 1200000, -3000000, 600, 5000, 40000, -30000, 250000, -2000000))]
    account("alt-basket-01", "Long and short altcoin perpetuals against BTC", 1.7, *altcoins, ("BTC_USDC-PERPETUAL", -6), collateral={"USDT": 0.7})
    account("alt-basket-02", "Long every altcoin perpetual in equal amounts", 1.4,
            *[(f"{a}_USDC-PERPETUAL", float(f"{200000 / desk.market.assets[a]['spot']:.2g}")) for a in LINEAR_PERPETUALS])
    account("cash-only-01", "Cash and no position: the margin is nothing", None, collateral={"USDC": 250000})


def quickstart(desk):
    o, account = desk.option, desk.account
    account("market-maker", "A small option market maker; delta hedged in both underlyings", 2.2,
            *desk.hedge(desk.hedge([(o("BTC", "27FEB26", "C", 0.5), -12), (o("BTC", "27FEB26", "P", -0.5), -10), (o("BTC", "27MAR26", "C", 1.0), 15), (o("BTC", "27MAR26", "P", -1.0), 14),
                                    (o("ETH", "27FEB26", "C", 0.5), 200), (o("ETH", "27FEB26", "P", -0.5), -260), (o("ETH", "27MAR26", "P", -1.2), 300)], "BTC"), "ETH"),
            collateral={"BTC": 0.5})
    account("covered-call", "Ten BTC as collateral and ten calls sold", None, (o("BTC", "27FEB26", "C", 1.0), -10), collateral={"BTC": 10, "USD": -400000})
    account("short-strangle", "Sells BTC options on both sides; some expire tomorrow", 1.5,
            (o("BTC", "27FEB26", "C", 1.0), -20), (o("BTC", "27FEB26", "P", -1.0), -20), (o("BTC", "5FEB26", "C", 0.8), -10), (o("BTC", "5FEB26", "P", -0.8), -10))
    account("basis-trade", "Spot BTC against the short March future: almost no risk", 4.0, ("BTC", 50), ("BTC-27MAR26", -3650000))
    account("long-perpetuals", "Leveraged long in three coins", 1.3,
            ("BTC-PERPETUAL", 1000000, 75900), ("ETH_USDC-PERPETUAL", 300, 2210), ("SOL_USDC-PERPETUAL", 5000, 96.4), collateral={"ETH": 0.4})
    account("under-water", "A long ETH position that has lost more than half of its margin", 0.5, ("ETH_USDC-PERPETUAL", 400, 2650), (o("ETH", "27MAR26", "P", -1.0), -150))


if __name__ == "__main__":
    main()
