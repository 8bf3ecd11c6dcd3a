//! The service without HTTP: what-ifs, reads and revaluations of a book of 500 options on 10 assets.
//!
//!     cargo bench --bench service                     # 1,000,000 paths; SHORTFALL_BENCH_PATHS for others
//!     cargo test --bench service                      # each once, on few paths
//!
//! Times are wall times, as a caller waits; the processor's time stands beside them, since other work
//! on a machine lengthens the first alone.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shortfall::plan::Bytes;
use shortfall::service::api::{
    Account, AssetUpdate, Balance, Book, HedgeRequest, MarketUpdate, Patch, Position, WhatIf,
};
use shortfall::service::{Cancel, Desk, config};

const ASSETS: usize = 10;
const EXPIRIES: [&str; 5] = ["27MAR26", "24APR26", "26JUN26", "25SEP26", "25DEC26"];
const STRIKES: usize = 10;
const ACCOUNT: &str = "book";

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let given = std::env::var("SHORTFALL_BENCH_PATHS").ok().and_then(|text| text.parse().ok());
    let paths = given.unwrap_or(if is_bench { 1_000_000 } else { 8192 });
    let rounds = if is_bench { 500 } else { 5 };
    for horizons in [1, 2] {
        measure(paths, horizons, rounds);
    }
}

fn measure(paths: u64, horizons: u32, rounds: usize) {
    println!("{paths} paths, {horizons} horizon{}", if horizons == 1 { "" } else { "s" });
    let timer = Timer::start();
    let desk = desk(paths, horizons);
    timer.stop("start");
    let status = desk.status();
    println!(
        "  {} instruments, cube and factors {}, losses {}, {}",
        status.instruments,
        Bytes(status.cube_bytes),
        Bytes(status.losses_bytes),
        status.device
    );
    let names: Vec<String> = desk
        .account(ACCOUNT)
        .expect("it is there")
        .book
        .positions
        .into_iter()
        .map(|p| p.instrument)
        .collect();
    let what_if = |round: usize| {
        let orders = vec![option(&names[round * 7 % names.len()], 1.0 + round as f64)];
        let asked = WhatIf { account: Some(ACCOUNT.to_owned()), orders, ..WhatIf::default() };
        desk.what_if(&asked, &Cancel::default()).expect("an answer");
    };
    what_if(0);
    repeat("what-if of one order", rounds, what_if);
    repeat("read of a margin", 10 * rounds, |_| {
        desk.margin(ACCOUNT, false, &Cancel::default()).expect("an answer");
    });
    repeat("patch of one row", rounds.min(100), |round| {
        let patch = Patch { positions: vec![option(&names[round % 400], 1.0)], ..Patch::default() };
        desk.patch(ACCOUNT, &patch, None, &Cancel::default()).expect("a change");
    });
    let mut spot = 73_000.0;
    let mut move_market = |desk: &Desk| {
        spot += 50.0;
        let assets =
            vec![AssetUpdate { asset: "BTC".to_owned(), spot: Some(spot), ..AssetUpdate::default() }];
        // A later instant, as markets have: nothing expires within the horizon, so no path changes.
        let as_of = desk.market().market.as_of + jiff::SignedDuration::from_secs(1);
        let update = MarketUpdate { as_of, source: None, assets, forwards: Vec::new(), surfaces: Vec::new() };
        let answer = desk.update_market(&update, &Cancel::default()).expect("a market");
        assert!(!answer.is_simulated, "the same random numbers");
    };
    for _ in 0..3.min(rounds) {
        let timer = Timer::start();
        move_market(&desk);
        timer.stop("full revaluation after a market move");
    }
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut times = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let begun = Instant::now();
                what_if(times.len());
                times.push(begun.elapsed());
                std::thread::sleep(Duration::from_millis(20));
            }
            times
        });
        let timer = Timer::start();
        move_market(&desk);
        timer.stop("revaluation with a what-if every 20 ms");
        ends.store(true, Ordering::Relaxed);
        report("what-if during a revaluation", asking.join().expect("it ends"), None);
    });
    let timer = Timer::start();
    let request = HedgeRequest {
        account: Some(ACCOUNT.to_owned()),
        hypothetical: None,
        instruments: vec!["BTC-PERPETUAL".to_owned()],
        most_units: None,
    };
    desk.hedge(&request, &Cancel::default()).expect("an answer");
    timer.stop("hedge among one instrument");
    let timer = Timer::start();
    desk.margin(ACCOUNT, true, &Cancel::default()).expect("an answer");
    timer.stop("attribution and worst paths");
}

/// The nightly market, and a book of options on ten of its assets.
fn desk(paths: u64, horizons: u32) -> Desk {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/nightly.yaml");
    let mut served = config::read(&path).unwrap_or_else(|faults| panic!("{faults}"));
    served.scenario.simulation.paths = paths;
    if horizons == 1 {
        served.scenario.margin.initial.horizon = served.scenario.margin.maintenance.horizon;
    }
    let mut positions = Vec::new();
    for asset in &served.scenario.market.assets[..ASSETS] {
        for expiry in EXPIRIES {
            for strike in 0..STRIKES {
                let price = asset.spot * (0.7 + 0.06 * strike as f64);
                let strike_text = format!("{price:.5}").replace('.', "d");
                let right = if price < asset.spot { "P" } else { "C" };
                let instrument = format!("{}_USDC-{expiry}-{strike_text}-{right}", asset.name);
                let sign = if (positions.len() * 7) % 5 < 3 { -1.0 } else { 1.0 };
                positions.push(option(&instrument, sign * (1_000_000.0 / asset.spot).round()));
            }
        }
    }
    let balances = vec![Balance { asset: "USD".to_owned(), amount: 50_000_000.0 }];
    let book = Book { description: String::new(), positions, balances };
    served.accounts = vec![Account { account: ACCOUNT.to_owned(), revision: 1, book }];
    Desk::open(served).unwrap_or_else(|fault| panic!("{fault}"))
}

fn option(instrument: &str, quantity: f64) -> Position {
    let implied_volatility = Some(0.8);
    Position { instrument: instrument.to_owned(), quantity, entry_price: None, implied_volatility }
}

struct Timer {
    begun: Instant,
    processor: Option<Duration>,
}

impl Timer {
    fn start() -> Self {
        Self { begun: Instant::now(), processor: processor_time() }
    }

    fn stop(&self, what: &str) {
        println!("  {what}: {:.3} s, {}", self.begun.elapsed().as_secs_f64(), self.processor());
    }

    fn processor(&self) -> String {
        let spent = processor_time().zip(self.processor).map(|(now, before)| now - before);
        spent.map_or("processor time unknown".to_owned(), |spent| {
            format!("{:.3} s of the processor", spent.as_secs_f64())
        })
    }
}

fn repeat(what: &str, rounds: usize, mut work: impl FnMut(usize)) {
    let timer = Timer::start();
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let begun = Instant::now();
        work(round);
        times.push(begun.elapsed());
    }
    report(what, times, Some(&timer));
}

fn report(what: &str, mut times: Vec<Duration>, timer: Option<&Timer>) {
    times.sort_unstable();
    let at =
        |part: f64| times[((times.len() as f64 * part) as usize).min(times.len() - 1)].as_secs_f64() * 1e3;
    let processor = timer.map_or(String::new(), |timer| format!(", all {}", timer.processor()));
    println!(
        "  {what}, {} times: p50 {:.3} ms, p99 {:.3} ms, least {:.3} ms{processor}",
        times.len(),
        at(0.5),
        at(0.99),
        at(0.0)
    );
}

/// Time that the process has spent on processors, where the system tells.
fn processor_time() -> Option<Duration> {
    /// Clock ticks a second of `/proc`, the same on every Linux.
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS))
}
