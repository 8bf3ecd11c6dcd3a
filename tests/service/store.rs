//! What survives.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use shortfall::service::api::{Patch, Position, Snapshot};
use shortfall::service::store::Store;
use shortfall::service::{Cancel, Desk};

use crate::night::{Night, open, order};

/// Names the store of the child process.
const CHILD: &str = "SHORTFALL_TEST_STORE_CHILD";
/// Processes that are killed, one after the other, on one store.
const ROUNDS: u64 = 200;
const ACCOUNT: &str = "covered-call";
const INSTRUMENT: &str = "BTC-PERPETUAL";

fn with_store(night: &Night, store: &Path, paths: u64) -> Desk {
    let mut served = night.served();
    served.scenario.simulation.paths = paths;
    served.config.store = Some(store.to_owned());
    open(served)
}

fn trade(quantity: f64) -> Patch {
    Patch { positions: vec![order(INSTRUMENT, quantity)], ..Patch::default() }
}

fn held(rows: &[Position]) -> f64 {
    rows.iter().filter(|row| row.instrument == INSTRUMENT).map(|row| row.quantity).sum()
}

/// Trades one unit after another and says which trades were acknowledged, until it is killed.
#[test]
fn child() {
    let Some(store) = std::env::var_os(CHILD) else { return };
    let night = Night::new();
    let desk = with_store(&night, Path::new(&store), 640);
    loop {
        let answer = desk.patch(ACCOUNT, &trade(1.0), None, &Cancel::default()).unwrap();
        // The line is out before the next trade begins.
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {} {}", answer.revision, desk.status().last_event).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_kill_loses_no_acknowledged_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("desk.redb");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut revision, mut interrupted) = (1, 0);
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, &store)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = lines.map_while(Result::ok).filter_map(|line| {
            let (_, numbers) = line.split_once("acknowledged ")?;
            let (revision, event) = numbers.split_once(' ')?;
            Some((revision.parse::<u64>().unwrap(), event.parse::<u64>().unwrap()))
        });
        let first = acknowledged.next().expect("the child trades");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros((random >> 33) % 12_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let last = acknowledged.last().unwrap_or(first);
        let (opened, contents) = Store::open(Some(&store)).unwrap();
        let account = &contents.accounts[ACCOUNT];
        assert!(account.revision >= last.0, "round {round}: {} of {}", account.revision, last.0);
        assert!(account.revision <= last.0 + 1, "round {round}: more than what was under way");
        assert!(contents.last_event >= last.1, "round {round}");
        // All of a change or nothing of it.
        assert_eq!(held(&account.book.positions), (account.revision - 1) as f64, "round {round}");
        // What it was before is kept, all of it, so that every acknowledged answer can be explained.
        for earlier in [revision, last.0 - 1, account.revision - 1] {
            let kept = opened.revision(ACCOUNT, earlier).unwrap();
            let kept = kept.unwrap_or_else(|| panic!("round {round}: revision {earlier} is gone"));
            assert_eq!(held(&kept.book.positions), (earlier - 1) as f64, "round {round}");
        }
        assert_eq!(opened.revision(ACCOUNT, account.revision).unwrap(), None, "it is current");
        assert!(account.revision > revision, "round {round}: the child went on");
        interrupted += u64::from(account.revision > last.0);
        revision = account.revision;
    }
    println!("{revision} changes, {interrupted} of {ROUNDS} kills between commit and acknowledgement");
}

#[test]
fn a_restart_goes_on() {
    let night = Night::new();
    let store = night.path("desk.redb");
    let none = Cancel::default();
    let paths = crate::night::PATHS;
    let (figures, market, last) = {
        let desk = with_store(&night, &store, paths);
        desk.patch(ACCOUNT, &trade(5000.0), None, &none).unwrap();
        let mut update = desk.market().numbers;
        update.assets[0].spot = Some(69_000.0);
        desk.update_market(&update, &none).unwrap();
        desk.remove("under-water", None).unwrap();
        let figures = desk.margin(ACCOUNT, false, &none).unwrap();
        (figures, desk.market(), desk.status().last_event)
    };
    let desk = with_store(&night, &store, paths);
    let again = desk.margin(ACCOUNT, false, &none).unwrap();
    assert_eq!((again.figures, again.revision), (figures.figures, 2));
    assert_eq!((desk.market().market.version, desk.market().numbers), (2, market.numbers));
    assert!(desk.account("under-water").is_err());
    assert_eq!(desk.status().last_event, last);
    assert_eq!(desk.market_versions().versions.len(), 2);
    // So are earlier revisions, those of an account that is gone, too.
    let explained = desk.explain("under-water", Some(1), 1, &none).unwrap();
    assert_eq!(explained.figures, crate::night::by_run(&night.scenario(), "under-water"));
    let kept = desk.revisions(ACCOUNT).unwrap();
    assert_eq!((kept.current, kept.revisions.len(), kept.revisions[0].revision), (Some(2), 1, 1));
    desk.patch(ACCOUNT, &trade(1.0), None, &none).unwrap();
    assert!(desk.status().last_event > last);
    drop(desk);
    // Another scenario starts a version of its own from its own market; the accounts stay.
    let mut served = night.served();
    served.scenario.simulation.seed += 1;
    served.config.store = Some(store);
    let desk = open(served);
    assert_eq!(desk.market().market.version, 3);
    assert_eq!(desk.account(ACCOUNT).unwrap().revision, 3);
    assert_eq!(desk.market_versions().versions.len(), 1);
}

#[test]
fn an_export_comes_back() {
    let night = Night::new();
    let none = Cancel::default();
    let desk = open(night.served());
    desk.patch(ACCOUNT, &trade(5000.0), None, &none).unwrap();
    let mut update = desk.market().numbers;
    update.assets[0].spot = Some(69_000.0);
    desk.update_market(&update, &none).unwrap();
    let text = serde_json::to_string(&desk.export().unwrap()).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&text).unwrap();

    let store = night.path("other.redb");
    let other = with_store(&night, &store, crate::night::PATHS);
    other.create("only-here", Default::default(), &none).unwrap();
    other.import(snapshot.clone(), &none).unwrap();
    assert!(other.account("only-here").is_err());
    for line in desk.accounts().accounts {
        let (here, there) =
            (desk.margin(&line.account, false, &none), other.margin(&line.account, false, &none));
        let (here, there) = (here.unwrap(), there.unwrap());
        assert_eq!((here.figures, here.revision), (there.figures, there.revision), "{}", line.account);
    }
    drop(other);
    let other = with_store(&night, &store, crate::night::PATHS);
    assert_eq!(other.export().unwrap().accounts, snapshot.accounts);
    // Revisions begin anew with what came.
    assert_eq!(other.revisions(ACCOUNT).unwrap().revisions, []);
    // A wrong one changes nothing, and everything that is wrong is named.
    let mut wrong = snapshot.clone();
    wrong.accounts[0].book.positions[0].quantity = f64::INFINITY;
    wrong.accounts.push(snapshot.accounts[1].clone());
    wrong.market.assets[0].spot = Some(-1.0);
    let fault = other.import(wrong, &none).unwrap_err().refusal();
    let fields: Vec<&str> = fault.faults.iter().map(|fault| fault.field.as_str()).collect();
    let last = format!("accounts[{}]", snapshot.accounts.len());
    assert_eq!(fields, ["accounts[0].book.positions[0].quantity", last.as_str(), "assets[0].spot"]);
    assert_eq!(other.export().unwrap().accounts, snapshot.accounts);
}
