#!/usr/bin/env python3
"""Compiles scenarios/history from a folder of raw price and option-surface histories.

    python compile_history.py DATA_FOLDER [--out ../history]

Needs nothing but the standard library. The output depends on the data alone: run twice, same bytes.
Prices are rounded, so that the tables hold public facts and no copy of any file.
`scenarios/README.md` names the sources. Ends with a self-check and a non-zero status where it fails.
"""
import argparse
import csv
import datetime as dt
import gzip
import math
import sys
from pathlib import Path

COINS = "BTC ETH SOL XRP ADA DOGE BNB LTC LINK AVAX".split()
COINS_FROM, COINS_TO = "2018-01-01", "2026-07-20"  # the last day on which all ten have a spot close
COIN_DIGITS, INDEX_DIGITS = 5, 6  # a return moves by at most 5e-5 and 5e-6 of itself through rounding
VARIANCE_DIGITS = 4
MOSTLY = 0.95  # part of a coin's days with hourly prices from which they are used
LEVEL_TENOR_DAYS = 30.0
LEVEL_HOUR = 0  # the first snapshot of a day at or after this hour (UTC)
MARK_SNAPSHOTS = ["20260204T213308Z", "20260205T093647Z", "20260206T155121Z"]  # the crash of 5 February, before and after


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("data", type=Path, help="folder with crypto_daily, crypto_hourly, equity and deribit_chains")
    args.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "history")
    args = args.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out / "crypto_daily.csv", ["date", *COINS], crypto(args.data))
    write(args.out / "crypto_variances.csv", ["date", *COINS], variances(args.data))
    write(args.out / "sp500_daily.csv", ["date", "SPX"], sp500(args.data))
    write(args.out / "implied_levels.csv", ["time", "asset", "spot", "volatility"], levels(args.data))
    write(args.out / "marks_2026-02.csv", ["instrument", "mark_0", "mark_1", "mark_2"], marks(args.data))
    write(args.out / "chain_2026-02-04.csv", ["asset", "expiry", "strike", "forward", "bid_volatility", "ask_volatility", "spot"],
          quotes(args.data))
    sys.exit(check(args.out))


def rounded(value, digits):
    """Plain decimal notation of `value` with so many significant digits."""
    places = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, places):.{max(places, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rows(path):
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else open(path)
    with opened as file:
        yield from csv.DictReader(file)


def crypto(data):
    """Daily closes; a bar's date is the day that it covers, so its close is the price at 24:00 UTC."""
    closes = {coin: {row["date"]: float(row["close"]) for row in rows(data / f"crypto_daily/{coin}.csv")
                     if COINS_FROM <= row["date"] <= COINS_TO} for coin in COINS}
    dates = sorted(set().union(*closes.values()))
    for date in dates:
        prices = (closes[coin].get(date) for coin in COINS)
        yield [date, *("" if price is None else rounded(price, COIN_DIGITS) for price in prices)]


def variances(data):
    """A measure of each day's variance from prices within the day: the sum of squared hourly log returns for coins with
    hourly prices on nearly all days (and of Garman and Klass on the others), Garman and Klass (1980) for all other coins."""
    hourly = {row["time_utc"]: row for row in rows(data / "crypto_hourly/hourly_close.csv.gz")}
    columns = {}
    for coin in COINS:
        bars = {row["date"]: row for row in rows(data / f"crypto_daily/{coin}.csv")
                if COINS_FROM <= row["date"] <= COINS_TO}
        realised = {date: realised_variance(date, coin, hourly) for date in bars}
        known = sum(value is not None for value in realised.values())
        if known < MOSTLY * len(bars):
            realised = {}
        columns[coin] = {date: realised.get(date) or garman_klass(bar) for date, bar in bars.items()}
        print(f"variance of {coin}: {'hourly returns' if realised else 'daily range'}, {known} of {len(bars)} days have 24 hours")
    for date in sorted(set().union(*columns.values())):
        values = (columns[coin].get(date) for coin in COINS)
        yield [date, *("" if not value else rounded(value, VARIANCE_DIGITS) for value in values)]


def realised_variance(date, coin, hourly):
    """Of a day with all of its 24 hourly closes and the one before; a bar is stamped at its open."""
    start = dt.datetime.strptime(date, "%Y-%m-%d")
    stamps = ((start + dt.timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M") for hour in range(-1, 24))
    closes = [hourly.get(stamp, {}).get(coin) for stamp in stamps]
    if not all(closes):
        return None
    closes = [float(close) for close in closes]
    return sum(math.log(b / a) ** 2 for a, b in zip(closes, closes[1:])) or None


def garman_klass(bar):
    high, low, first, last = (math.log(float(bar[name])) for name in ("high", "low", "open", "close"))
    return 0.5 * (high - low) ** 2 - (2 * math.log(2) - 1) * (last - first) ** 2


def sp500(data):
    """Daily closes of the S&P 500, of the S&P 90 before March 1957."""
    for row in rows(data / "equity/gspc_daily_1927_2026.csv.gz"):
        yield [row["date"], rounded(float(row["close"]), INDEX_DIGITS)]


def levels(data):
    """At-the-money implied volatility of 30 days, linear in total variance between two expiries."""
    snapshots = {}
    for row in rows(data / "deribit_chains/surface_history_931_snapshots.csv.gz"):
        if row["atm_iv"]:
            snapshots.setdefault((row["snapshot_utc"], row["currency"]), []).append(row)
    seen = set()
    for (stamp, coin), slices in sorted(snapshots.items()):
        time = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ")
        level = interpolated(slices)
        if (time.date(), coin) in seen or time.hour < LEVEL_HOUR or level is None:
            continue
        seen.add((time.date(), coin))
        spot = sorted(float(row["index"]) for row in slices)[len(slices) // 2]
        yield [time.strftime("%Y-%m-%dT%H:%M:%SZ"), coin, rounded(spot, COIN_DIGITS), rounded(level, 4)]


def marks(data):
    """Marks of the listed BTC and ETH instruments of scenarios/nightly at three snapshots, in USD: an option's coin mark
    times the index, the forward of a future, the index of a perpetual and of spot. An option that has expired in between
    keeps its payoff in coins, by the hourly close at its expiry."""
    chains = [{row["instrument"]: row for row in rows(data / f"deribit_chains/chain_{stamp}.csv.gz")}
              for stamp in MARK_SNAPSHOTS]
    index = [{coin: median(float(row["index"]) for row in chain.values() if row["ccy"] == coin) for coin in ("BTC", "ETH")}
             for chain in chains]
    forwards = [{} for _ in chains]
    for known, chain in zip(forwards, chains):
        for row in chain.values():
            known.setdefault((row["ccy"], row["expiry_utc"]), []).append(float(row["forward"]))
    hourly = {row["time_utc"]: row for row in rows(data / "crypto_hourly/hourly_close.csv.gz")}
    expiries = {name.split("-")[1]: row["expiry_utc"] for chain in chains for name, row in chain.items()}
    held = {row["instrument"] for row in rows(Path(__file__).resolve().parent.parent / "nightly/positions.csv")} | {"BTC", "ETH"}
    for name in sorted(held):
        coin = name[:3]
        if coin not in ("BTC", "ETH") or (len(name) > 3 and not name[3] in "-_"):
            continue
        values = []
        for at, chain in enumerate(chains):
            if name == coin or name.endswith("PERPETUAL"):
                value = index[at][coin]
            elif name.count("-") == 1:
                value = median(forwards[at].get((coin, expiries[name.split("-")[1]]), [float("nan")]))
            elif name.replace("_USDC", "") in chain:
                value = float(chain[name.replace("_USDC", "")]["mark"]) * index[at][coin]
            else:
                value = expired(name, expiries[name.split("-")[1]], hourly, at) * index[at][coin]
            values.append(rounded(value, 6) if value else "0")
        yield [name, *values]


def quotes(data):
    """Implied volatilities of the options out of the money that have a bid and an ask in the first of the snapshots, rounded
    to a hundredth of a point; the forward is the median of its expiry's rows, the spot that of the coin's index."""
    chain = [row for row in rows(data / f"deribit_chains/chain_{MARK_SNAPSHOTS[0]}.csv.gz") if row["ccy"] in ("BTC", "ETH")]
    key = lambda row: (row["ccy"], row["expiry_utc"])
    forwards = {slice_: median(float(row["forward"]) for row in chain if key(row) == slice_) for slice_ in {key(row) for row in chain}}
    spots = {coin: median(float(row["index"]) for row in chain if row["ccy"] == coin) for coin in ("BTC", "ETH")}
    for row in sorted(chain, key=lambda row: (*key(row), float(row["strike"]))):
        strike, forward = float(row["strike"]), forwards[key(row)]
        is_call = row["cp"] == "C"
        if row["bid_iv_calc"] and row["ask_iv_calc"] and is_call == (strike >= forward):
            expiry = row["expiry_utc"].replace(" ", "T") + ":00Z"
            volatilities = (f"{float(row[side]):.4f}" for side in ("bid_iv_calc", "ask_iv_calc"))
            yield [row["ccy"], expiry, f"{strike:g}", rounded(forward, 7), *volatilities, rounded(spots[row["ccy"]], 7)]


def expired(name, expiry, hourly, at):
    """Payoff in coins; a hourly bar is stamped at its open."""
    coin, _, strike, kind = name.replace("_USDC", "").split("-")
    when = dt.datetime.strptime(expiry, "%Y-%m-%d %H:%M")
    if when >= dt.datetime.strptime(MARK_SNAPSHOTS[at], "%Y%m%dT%H%M%SZ"):
        raise ValueError(f"{name} has not expired and is not quoted")
    settled = float(hourly[(when - dt.timedelta(hours=1)).strftime("%Y-%m-%d %H:%M")][coin])
    payoff = settled - float(strike) if kind == "C" else float(strike) - settled
    return max(payoff, 0.0) / settled


def median(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def interpolated(slices):
    tenor = LEVEL_TENOR_DAYS / 365.0
    points = sorted((float(row["T_years"]), float(row["atm_iv"])) for row in slices)
    for (t0, v0), (t1, v1) in zip(points, points[1:]):
        if t0 <= tenor <= t1:
            w0, w1 = v0 * v0 * t0, v1 * v1 * t1
            return math.sqrt((w0 + (w1 - w0) * (tenor - t0) / (t1 - t0)) / tenor)
    return None


def write(path, header, lines):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


def check(out):
    """No day twice, none out of order, no coin with a gap after its first price."""
    faults = []
    for name in ["crypto_daily.csv", "sp500_daily.csv"]:
        table = list(rows(out / name))
        dates = [row["date"] for row in table]
        if dates != sorted(set(dates)):
            faults.append(f"{name}: dates twice or out of order")
        for column in table[0]:
            cells = [row[column] for row in table]
            first = next(i for i, cell in enumerate(cells) if cell)
            if "" in cells[first:]:
                faults.append(f"{name}: a gap in {column} after its start")
        print(f"{name}: {len(table)} days, {dates[0]} to {dates[-1]}")
    measured = {row["date"]: row for row in rows(out / "crypto_variances.csv")}
    for row in rows(out / "crypto_daily.csv"):
        for coin in COINS:
            if row[coin] and not measured[row["date"]][coin]:
                faults.append(f"crypto_variances.csv: no variance of {coin} on {row['date']}")
    print(f"implied_levels.csv: {len(list(rows(out / 'implied_levels.csv')))} rows")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    main()
