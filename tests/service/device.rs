//! Where the cube is kept: on a GPU with the bits of the CPU, and on the CPU once a device is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use serde_json::json;
use shortfall::engine::cpu::CpuKeeper;
use shortfall::engine::gpu::{GpuEngine, GpuKeeper, GpuOptions};
use shortfall::engine::resident::{Answered, Asked, Halt, Keeper, Netted, Profits, Resident};
use shortfall::engine::{DeviceReport, EngineFault, Job, Pace};
use shortfall::risk::{Bracket, Tail};
use shortfall::service::api::{
    AssetUpdate, HedgeRequest, LevelName, MarketUpdate, Patch, WhatIf, WhatIfBatch,
};
use shortfall::service::{Cancel, Desk, DeskFault};

use crate::night::{Night, open, order};
use crate::server::{Server, wait_until};

const ACCOUNTS: [&str; 3] = ["market-maker", "long-perpetuals", "short-strangle"];

fn open_on(night: &Night, keeper: Arc<dyn Keeper>) -> Result<Desk, DeskFault> {
    Desk::open_on(night.served(), keeper, Arc::new(Timestamp::now))
}

/// Everything that is asked of the two desks, one thing after another; what they answer must be the same
/// in every figure.
fn everything(desk: &Desk) -> Result<Vec<String>, DeskFault> {
    let none = Cancel::default();
    let mut told = Vec::new();
    let mut tell = |what: &dyn std::fmt::Debug| told.push(format!("{what:?}"));
    let what_if = |orders| WhatIf { account: Some("market-maker".to_owned()), orders, ..WhatIf::default() };
    // One instrument that is held, one that is priced on the way, and one that expires on the way.
    let orders = vec![order("BTC-PERPETUAL", -25_000.0), order("BTC-27MAR26-90000-C", 3.0)];
    let answer = desk.what_if(&what_if(orders.clone()), &none)?;
    tell(&(answer.before, answer.after));
    let sooner = desk.what_if(&what_if(vec![order("BTC-5FEB26-72000-P", -2.0)]), &none)?;
    tell(&sooner.after);
    let batch = WhatIfBatch { what_ifs: vec![what_if(orders.clone()), what_if(vec![order("ETH", 2.0)])] };
    for item in desk.what_ifs(&batch, &none)?.answers {
        tell(&item.answer.map(|answer| answer.after));
    }
    let request = HedgeRequest {
        account: Some("long-perpetuals".to_owned()),
        hypothetical: None,
        instruments: vec!["BTC-PERPETUAL".to_owned(), "ETH-27MAR26-2000-P".to_owned()],
        most_units: None,
    };
    tell(&desk.hedge(&request, &none)?.hedges);
    let patch = Patch { positions: orders, ..Patch::default() };
    tell(&desk.patch("market-maker", &patch, None, &none)?.figures);
    let market = desk.market();
    for (spot, volatility) in [(70_000.0, None), (71_000.0, Some(0.9))] {
        let asset =
            AssetUpdate { asset: "BTC".to_owned(), spot: Some(spot), volatility, ..AssetUpdate::default() };
        let as_of = market.market.as_of;
        let update = MarketUpdate {
            as_of,
            source: None,
            assets: vec![asset],
            forwards: Vec::new(),
            surfaces: Vec::new(),
        };
        let answer = desk.update_market(&update, &none)?;
        tell(&(answer.market.version, answer.instruments));
        for account in ACCOUNTS {
            let answer = desk.margin(account, true, &none)?;
            tell(&(answer.figures, answer.worst_driver, answer.attribution, answer.worst_paths));
            let distribution = desk.distribution(account, LevelName::Initial, &none)?;
            tell(&(distribution.low, distribution.high, distribution.counts));
        }
    }
    Ok(told)
}

/// A software adapter will do; without any the test is skipped.
fn gpu(tile_paths: Option<u64>) -> Option<Arc<dyn Keeper>> {
    match GpuEngine::with_options(GpuOptions { tile_paths, ..GpuOptions::default() }) {
        Ok(engine) => Some(Arc::new(GpuKeeper::new(engine))),
        Err(fault @ EngineFault::NoDevice(_)) => {
            assert!(std::env::var("REQUIRE_GPU").as_deref() != Ok("1"), "REQUIRE_GPU=1, but {fault}");
            eprintln!("skipped: {fault}");
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}

#[test]
fn a_cube_on_a_gpu_answers_with_the_bits_of_the_cpu() {
    let night = Night::new();
    let Some(keeper) = gpu(Some(4096)) else { return };
    let desk = open_on(&night, keeper).unwrap();
    let status = desk.status();
    assert!(status.is_ready && status.engine == "gpu" && status.device.starts_with("gpu "), "{status:?}");
    assert_eq!((status.device_fault, status.device_given_up, status.device_fallbacks), (None, None, 0));
    let expected = everything(&open(night.served())).unwrap();
    let found = everything(&desk).unwrap();
    assert!(expected.len() > 10);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(desk.status().device_fallbacks, 0, "all of it was answered from the GPU");
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_made() {
    let night = Night::new();
    let mut served = night.served();
    served.config.memory_limit = Some(1 << 20);
    let keeper: Arc<dyn Keeper> = Arc::new(Fragile::after(0));
    let opened = Desk::open_on(served, keeper, Arc::new(Timestamp::now));
    match opened.err() {
        Some(fault @ DeskFault::TooLarge { .. }) => {
            assert!(fault.to_string().contains("paths would fit"), "{fault}");
        }
        other => panic!("{other:?}"),
    }
}

/// A device that is lost after so many pieces of work; it is a CPU in truth.
struct Fragile {
    cpu: CpuKeeper,
    left: Arc<AtomicI64>,
}

struct OnFragile {
    kept: Box<dyn Resident>,
    left: Arc<AtomicI64>,
}

impl Fragile {
    fn after(pieces: i64) -> Self {
        Self { cpu: CpuKeeper::new(""), left: Arc::new(AtomicI64::new(pieces)) }
    }
}

fn lost() -> EngineFault {
    EngineFault::Lost("unplugged".to_owned())
}

/// One piece of work less.
fn work(left: &AtomicI64) -> Result<(), Halt> {
    if left.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(Halt::Fault(lost())) }
}

impl Keeper for Fragile {
    fn device(&self) -> DeviceReport {
        let name = "Fragile 1".to_owned();
        DeviceReport { engine: "gpu".to_owned(), name, ..DeviceReport::default() }
    }

    fn check(&self) -> Result<(), EngineFault> {
        if self.left.load(Ordering::SeqCst) > 0 { Ok(()) } else { Err(lost()) }
    }

    fn factors_bytes(&self, job: &Job, paths: u64) -> u64 {
        self.cpu.factors_bytes(job, paths)
    }

    fn simulate(&self, job: &Job, paths: u64, pace: &dyn Pace) -> Result<Box<dyn Resident>, Halt> {
        work(&self.left)?;
        let kept = self.cpu.simulate(job, paths, pace)?;
        Ok(Box::new(OnFragile { kept, left: Arc::clone(&self.left) }))
    }
}

impl Resident for OnFragile {
    fn same_paths(&self) -> Box<dyn Resident> {
        Box::new(Self { kept: self.kept.same_paths(), left: Arc::clone(&self.left) })
    }

    fn add(&self, job: &Job, pace: &dyn Pace) -> Result<u32, Halt> {
        work(&self.left).and_then(|()| self.kept.add(job, pace))
    }

    fn profits(&self, account: &Netted<'_>, pace: &dyn Pace) -> Result<Profits, Halt> {
        work(&self.left).and_then(|()| self.kept.profits(account, pace))
    }

    fn first_losses(&self, account: &Netted<'_>, count: usize) -> Result<Vec<f32>, Halt> {
        work(&self.left).and_then(|()| self.kept.first_losses(account, count))
    }

    fn tails(&self, account: &Netted<'_>, brackets: &[Bracket], pace: &dyn Pace) -> Result<Vec<Tail>, Halt> {
        work(&self.left).and_then(|()| self.kept.tails(account, brackets, pace))
    }

    fn row_on(&self, row: u32, paths: &[usize]) -> Result<Vec<f32>, Halt> {
        work(&self.left).and_then(|()| self.kept.row_on(row, paths))
    }

    fn log_returns_on(&self, observation: usize, asset: usize, paths: &[usize]) -> Result<Vec<f32>, Halt> {
        work(&self.left).and_then(|()| self.kept.log_returns_on(observation, asset, paths))
    }

    fn tails_of(&self, accounts: &[Asked<'_>], pace: &dyn Pace) -> Result<Vec<Answered>, Halt> {
        work(&self.left).and_then(|()| self.kept.tails_of(accounts, pace))
    }
}

/// Whenever it is lost, every question in flight is answered, with the same figures.
#[test]
fn a_device_that_is_lost_at_any_moment_changes_no_figure() {
    let night = Night::new();
    let expected = everything(&open(night.served())).unwrap();
    let whole = Fragile::after(i64::MAX);
    let left = Arc::clone(&whole.left);
    let desk = open_on(&night, Arc::new(whole)).unwrap();
    let opening = i64::MAX - left.load(Ordering::SeqCst);
    assert_eq!(everything(&desk).unwrap(), expected);
    let all = i64::MAX - left.load(Ordering::SeqCst);
    assert!(opening > 2 && all > opening + 100, "{opening} {all}");
    // It is lost before it keeps anything: nobody asked for less, and it is a fault.
    let never = open_on(&night, Arc::new(Fragile::after(1)));
    assert!(matches!(never.err(), Some(DeskFault::Device(EngineFault::Lost(_)))));
    let moments = (opening + 1..all).step_by(((all - opening) / 17) as usize);
    for pieces in moments {
        let desk = open_on(&night, Arc::new(Fragile::after(pieces))).unwrap();
        let figures = desk.margin("short-strangle", false, &Cancel::default()).unwrap().figures;
        for (found, expected) in everything(&desk).unwrap().iter().zip(&expected) {
            assert_eq!(found, expected, "lost after {pieces} pieces of work");
        }
        let status = desk.status();
        assert!(status.is_ready && status.engine == "cpu" && status.device.starts_with("cpu "), "{status:?}");
        assert_eq!((status.device_fallbacks, status.device_fault), (1, None), "{pieces}");
        let why = status.device_given_up.unwrap();
        assert!(why.contains("Fragile 1 gave up") && why.contains("unplugged"), "{why}");
        assert_ne!(desk.margin("short-strangle", false, &Cancel::default()).unwrap().figures, figures);
    }
}

#[test]
fn a_service_that_nobody_asks_notices_and_says_so() {
    let night = Night::new();
    let keeper = Fragile::after(i64::MAX);
    let left = Arc::clone(&keeper.left);
    let mut served = night.served();
    served.config.memory_limit = Some(1 << 30);
    let desk = Desk::open_on(served, Arc::new(keeper), Arc::new(Timestamp::now)).unwrap();
    let server = Server::of(desk, |_| {});
    let before = server.get("/v1/accounts/market-maker/margin").ok();
    assert!(before["device"].as_str().unwrap().starts_with("gpu"));
    let metrics = server.get("/metrics").text;
    for line in [
        "shortfall_device{engine=\"gpu\"} 1",
        "shortfall_device_lost 0",
        "shortfall_device_fallbacks_total 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let ready = server.get("/readyz").ok();
    assert_eq!(ready["notes"], json!([]));
    left.store(0, Ordering::SeqCst);
    // Not ready until the CPU has taken its place, which it does unasked.
    let is_moved = || server.get("/v1/status").ok()["device_fallbacks"] == 1;
    wait_until("the CPU takes its place", is_moved);
    let ready = server.get("/readyz").ok();
    let note = ready["notes"][0].as_str().unwrap();
    assert!(note.contains("degraded") && note.contains("Fragile 1 gave up"), "{note}");
    assert!(ready["device"].as_str().unwrap().starts_with("cpu"));
    let metrics = server.get("/metrics").text;
    for line in [
        "shortfall_device{engine=\"gpu\"} 0",
        "shortfall_device{engine=\"cpu\"} 1",
        "shortfall_device_fallbacks_total 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let after = server.get("/v1/accounts/market-maker/margin").ok();
    assert_eq!(
        (&after["figures"], &after["market"]["version"]),
        (&before["figures"], &before["market"]["version"])
    );
    let order =
        json!({"account": "market-maker", "orders": [{"instrument": "BTC-PERPETUAL", "quantity": 1000}]});
    assert_eq!(server.send("POST", "/v1/what-ifs", &order).ok()["before"], before["figures"]);
}
