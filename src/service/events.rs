//! What happens to accounts, numbered, so that a subscriber can go on where it stopped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;

use super::api::{Account, AccountState, Event, EventKind, EventPage, Figures, MAX_EVENTS};

/// Events that a slow subscriber may lag behind before it has to resume by number.
const CHANNEL_EVENTS: usize = 4_096;

/// All events, the latest of them kept.
pub struct Events {
    log: Mutex<Log>,
    channel: broadcast::Sender<Arc<Event>>,
}

struct Log {
    last: u64,
    most: usize,
    kept: VecDeque<Arc<Event>>,
}

/// What changed for an account.
pub struct Change<'a> {
    /// The account as it is now.
    pub account: &'a Account,
    /// Version of the market.
    pub market_version: u64,
    /// Its figures before, if it had any.
    pub before: Option<&'a Figures>,
    /// Its figures now.
    pub after: &'a Figures,
}

impl Events {
    /// Events after number `last`, of which `most` are kept.
    pub fn new(last: u64, most: usize) -> Self {
        let log = Mutex::new(Log { last, most, kept: VecDeque::new() });
        Self { log, channel: broadcast::channel(CHANNEL_EVENTS).0 }
    }

    /// Number of the last event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// The events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.channel.subscribe()
    }

    /// Events after number `since`, at most `most` of them.
    pub fn since(&self, since: u64, most: usize) -> EventPage {
        let log = self.lock();
        let most = most.clamp(1, MAX_EVENTS);
        let first_kept = log.last + 1 - log.kept.len() as u64;
        let skip = since.saturating_add(1).saturating_sub(first_kept).min(log.kept.len() as u64) as usize;
        let events: Vec<Event> = log.kept.iter().skip(skip).take(most).map(|e| Event::clone(e)).collect();
        let next = events.last().map_or(log.last, |event| event.sequence);
        // A number that was never given comes from another store: nothing is known of it.
        let is_gap = since > log.last || since + 1 < first_kept;
        EventPage { events, next, is_gap }
    }

    /// Publishes numbered events, which [`numbered`] made from the last number.
    pub fn publish(&self, events: Vec<Event>) {
        let mut log = self.lock();
        for event in events {
            let event = Arc::new(event);
            log.last = event.sequence;
            log.kept.push_back(Arc::clone(&event));
            if log.kept.len() > log.most {
                log.kept.pop_front();
            }
            // Nobody may be listening.
            let _ = self.channel.send(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // Every change of the log is whole before the lock is given back.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of changes, numbered from the one after `last`. `ladder` are healths, the highest
/// first.
pub fn numbered(changes: &[Change<'_>], ladder: &[f64], at: Timestamp, last: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for change in changes {
        for (kind, level) in kinds(change, ladder) {
            let sequence = last + 1 + events.len() as u64;
            events.push(event(change, kind, level, at, sequence));
        }
    }
    events
}

fn kinds(change: &Change<'_>, ladder: &[f64]) -> Vec<(EventKind, Option<f64>)> {
    let mut kinds = vec![(EventKind::Margin, None)];
    let health = |figures: &Figures| need(figures);
    let before = change.before.map_or(f64::INFINITY, health);
    let after = health(change.after);
    // Of several levels passed at once only the lowest is news.
    if let Some(level) = ladder.iter().rev().find(|level| after < **level && !(before < **level)) {
        kinds.push((EventKind::Warning, Some(*level)));
    }
    let was = change.before.map_or(AccountState::Healthy, |figures| figures.state);
    if change.after.state != was {
        match change.after.state {
            AccountState::MarginCall if was == AccountState::Healthy => {
                kinds.push((EventKind::MarginCall, None));
            }
            AccountState::Liquidate => kinds.push((EventKind::Liquidation, None)),
            _ => {}
        }
    }
    kinds
}

/// Health, extended to accounts without a margin: with equity below zero they need money more than
/// any other, otherwise less.
pub fn need(figures: &Figures) -> f64 {
    let without_margin = if figures.equity >= 0.0 { f64::INFINITY } else { f64::NEG_INFINITY };
    figures.health.unwrap_or(without_margin)
}

fn event(change: &Change<'_>, kind: EventKind, level: Option<f64>, at: Timestamp, sequence: u64) -> Event {
    let figures = change.after;
    Event {
        sequence,
        at,
        account: change.account.account.clone(),
        kind,
        revision: change.account.revision,
        market_version: change.market_version,
        equity: figures.equity,
        maintenance_margin: figures.maintenance_margin,
        initial_margin: figures.initial_margin,
        health: figures.health,
        state: figures.state,
        level,
    }
}
