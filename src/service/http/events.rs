//! Events of chosen accounts: over a WebSocket as they happen, or a page at a time.
//!
//! A subscriber's messages are pages too. Nothing is buffered for it: the events that the desk keeps
//! are read when the last page has been sent, so a slow subscriber costs no memory. One that does not
//! take a page in time, or falls behind what is kept, is dropped with a reason, and resumes with the
//! number that it had.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use metrics::Gauge;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::app::App;
use super::auth::{self, Caller};
use super::extract::Asked;
use super::guard;
use crate::service::api::{Event, EventPage, MAX_EVENTS};
use crate::service::problem::Problem;

/// Largest message of a subscriber.
const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// Events of a page that is sent.
const PAGE_EVENTS: usize = 500;
/// Time in which a subscriber that is sent away has to close its side.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// Time between two looks at whether the subscriber and its key are still there.
const CHECK_TIME: Duration = Duration::from_secs(20);

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Events after this sequence number; without it, those that come from now on.
    since: Option<u64>,
    /// Names of accounts, separated by commas; all that the key sees without it.
    accounts: Option<String>,
}

/// The first message of a subscriber.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscription {
    /// A browser cannot send the header `Authorization` with a WebSocket.
    key: Option<String>,
    accounts: Option<Vec<String>>,
    since: Option<u64>,
}

/// Events of accounts, as a page or as a subscription
///
/// A plain request gives a page. Over a WebSocket, send `{"since": 12, "accounts": ["alpha"]}` (both
/// optional, and a `key` where no header carries it); each message that comes is a page.
#[utoipa::path(get, path = "/v1/events", tag = "events", security(("key" = [])), params(EventsQuery), responses(
    (status = 200, body = EventPage),
    (status = 101, description = "A WebSocket follows"),
    (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub async fn events(
    State(app): State<Arc<App>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Asked(query): Asked<EventsQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, Problem> {
    guard::own_origin(request.headers())?;
    let presented = auth::bearer(&request);
    let accounts = query.accounts.map(|names| names.split(',').map(str::to_owned).collect());
    let Ok(upgrade) = upgrade else {
        let caller = app.gate.identify(presented, address.ip())?;
        let chosen = Chosen::new(&caller, accounts)?;
        let since = query.since.unwrap_or_else(|| app.desk.status().last_event);
        return Ok(Json(chosen.of(app.desk.events_since(since, MAX_EVENTS))).into_response());
    };
    // Without a header the key comes in the first message.
    let caller = match (presented, app.gate.is_locked()) {
        (None, true) => None,
        _ => Some(app.gate.identify(presented, address.ip())?),
    };
    let room = Arc::clone(&app.subscribers).try_acquire_owned().map_err(|_| {
        let detail = format!("{} subscriptions are open, the limit", app.limits.subscribers);
        Problem::new(429, "subscribers", "Too many subscriptions", detail).retry_after(1)
    })?;
    let guest = Guest { app, address, caller, accounts, since: query.since, _room: room };
    Ok(upgrade.max_message_size(MAX_MESSAGE_BYTES).on_upgrade(|socket| guest.serve(socket)))
}

/// The accounts of a subscriber.
struct Chosen {
    caller: Caller,
    accounts: Option<Vec<String>>,
}

impl Chosen {
    fn new(caller: &Caller, accounts: Option<Vec<String>>) -> Result<Self, Problem> {
        accounts.iter().flatten().try_for_each(|account| caller.must_see(account))?;
        Ok(Self { caller: caller.clone(), accounts })
    }

    fn of(&self, mut page: EventPage) -> EventPage {
        page.events.retain(|event: &Event| match &self.accounts {
            Some(names) => names.contains(&event.account),
            None => self.caller.accounts.include(&event.account),
        });
        page
    }
}

/// Who has opened a WebSocket.
struct Guest {
    app: Arc<App>,
    address: SocketAddr,
    caller: Option<Caller>,
    accounts: Option<Vec<String>>,
    since: Option<u64>,
    _room: OwnedSemaphorePermit,
}

/// Why a subscription ends.
struct End {
    code: u16,
    reason: String,
    kind: &'static str,
}

fn end<T>(code: u16, kind: &'static str, reason: impl Into<String>) -> Result<T, End> {
    Err(End { code, kind, reason: reason.into() })
}

/// Counts a subscriber for as long as it lives.
struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Guest {
    async fn serve(self, mut socket: WebSocket) {
        let gauge = self.app.metrics.gauge("shortfall_subscribers", &[]);
        gauge.increment(1.0);
        let _counted = Counted(gauge);
        if let Err(End { code, reason, kind }) = self.follow(&mut socket).await {
            self.app.metrics.count("shortfall_subscribers_dropped_total", kind);
            tracing::info!(address = %self.address, kind, reason, "a subscription ends");
            let frame = CloseFrame { code, reason: short(&reason).into() };
            // One that takes nothing will not take this either.
            let told = timeout(self.app.limits.taking, socket.send(Message::Close(Some(frame)))).await;
            if let Ok(Ok(())) = told {
                // What it has sent meanwhile is read: left unread, it would reset the connection, and the
                // reason would be lost.
                let _ = timeout(CLOSE_TIME, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
            }
        }
    }

    /// Sends pages until the subscriber leaves (`Ok`) or is sent away.
    async fn follow(&self, socket: &mut WebSocket) -> Result<(), End> {
        let Some((chosen, since)) = self.greet(socket).await? else { return Ok(()) };
        let app = &self.app;
        // Before the first look, so that nothing is missed between the two.
        let mut news = app.desk.subscribe();
        let mut stopping = app.stopping.clone();
        let mut check = tokio::time::interval(CHECK_TIME);
        let mut next = since.unwrap_or_else(|| app.desk.status().last_event);
        let mut is_first = true;
        loop {
            while news.try_recv().is_ok() {}
            loop {
                let page = app.desk.events_since(next, PAGE_EVENTS);
                if page.is_gap && !is_first {
                    return end(close_code::POLICY, "slow", "slow consumer: events were lost; resume");
                }
                let is_last = page.events.len() < PAGE_EVENTS;
                next = page.next;
                let page = chosen.of(page);
                if is_first || !page.events.is_empty() {
                    let text = serde_json::to_string(&page).expect("plain fields become JSON");
                    self.send(socket, Message::Text(text.into())).await?;
                }
                is_first = false;
                if is_last {
                    break;
                }
            }
            tokio::select! {
                _ = news.recv() => {}
                message = socket.recv() => if is_over(message).is_break() { return Ok(()) },
                _ = stopping.changed() => return end(close_code::AWAY, "stopping", "the service stops"),
                _ = check.tick() => {
                    if !app.gate.knows(&chosen.caller) {
                        return end(close_code::POLICY, "key", "the key is no longer valid");
                    }
                    self.send(socket, Message::Ping(Vec::new().into())).await?;
                }
            }
        }
    }

    /// Reads the first message; `None` where the subscriber leaves before it.
    async fn greet(&self, socket: &mut WebSocket) -> Result<Option<(Chosen, Option<u64>)>, End> {
        let limit = self.app.limits.arrival;
        let Ok(message) = timeout(limit, first_text(socket)).await else {
            return end(close_code::POLICY, "silent", "no subscription came in time");
        };
        let Some(text) = message else { return Ok(None) };
        let Ok(wanted) = serde_json::from_str::<Subscription>(&text) else {
            return end(
                close_code::INVALID,
                "malformed",
                "expected {\"since\": NUMBER, \"accounts\": [NAMES], \"key\": KEY}, each optional",
            );
        };
        let caller = match &self.caller {
            Some(caller) => caller.clone(),
            None => self.identified(wanted.key.as_deref())?,
        };
        let accounts = wanted.accounts.or_else(|| self.accounts.clone());
        match Chosen::new(&caller, accounts) {
            Ok(chosen) => Ok(Some((chosen, wanted.since.or(self.since)))),
            Err(problem) => end(close_code::POLICY, "forbidden", problem.detail),
        }
    }

    async fn send(&self, socket: &mut WebSocket, message: Message) -> Result<(), End> {
        match timeout(self.app.limits.taking, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => end(close_code::AWAY, "gone", "the subscriber left"),
            Err(_) => end(close_code::POLICY, "slow", "slow consumer: a page was not taken in time; resume"),
        }
    }

    fn identified(&self, key: Option<&str>) -> Result<Caller, End> {
        let address = self.address.ip();
        let caller = self.app.gate.identify(key, address).and_then(|caller| {
            self.app.gate.admit(&caller.name)?;
            Ok(caller)
        });
        caller.or_else(|problem| {
            let _ = self.app.gate.admit(&address.to_string().into());
            end(close_code::POLICY, "unauthorized", problem.detail)
        })
    }
}

/// The first message with text; `None` where there will be none.
async fn first_text(socket: &mut WebSocket) -> Option<String> {
    loop {
        match socket.recv().await? {
            Ok(Message::Text(text)) => return Some(text.to_string()),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

/// A subscriber has nothing to say after its first message; what it says is ignored.
fn is_over(message: Option<Result<Message, axum::Error>>) -> ControlFlow<()> {
    match message {
        Some(Ok(Message::Close(_)) | Err(_)) | None => ControlFlow::Break(()),
        Some(Ok(_)) => ControlFlow::Continue(()),
    }
}

/// A reason that fits into a close frame: 123 bytes.
fn short(reason: &str) -> String {
    let mut reason = reason.to_owned();
    while reason.len() > 123 {
        reason.pop();
    }
    reason
}
