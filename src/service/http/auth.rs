//! Who asks, what they may do, and how often.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::app::App;
use crate::service::keys::{Accounts, Keys, Permission, Role};
use crate::service::problem::Problem;

/// Clients whose rates are remembered; before more are, the quiet ones are forgotten.
const REMEMBERED_CLIENTS: usize = 10_000;

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The id of its key, or its address: in logs and limits.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// What it may see.
    pub accounts: Arc<Accounts>,
}

impl Caller {
    /// Refuses what the role does not include.
    pub fn must(&self, permission: Permission) -> Result<(), Problem> {
        if self.role.may(permission) {
            return Ok(());
        }
        let able: Vec<&str> =
            Role::ALL.into_iter().filter(|role| role.may(permission)).map(Role::name).collect();
        let detail = format!("this needs a key with the role {}", able.join(" or "));
        Err(forbidden(detail).with("header.authorization", self.role.name(), able.join(" or ")))
    }

    /// Refuses an account that the key does not see, whether it exists or not.
    pub fn must_see(&self, account: &str) -> Result<(), Problem> {
        if self.accounts.include(account) {
            return Ok(());
        }
        Err(forbidden("the key does not see this account").with(
            "account",
            account,
            self.accounts.to_string().chars().take(200).collect::<String>(),
        ))
    }
}

fn forbidden(detail: impl Into<String>) -> Problem {
    Problem::new(403, "forbidden", "Not allowed", detail)
}

/// Keys and rates of a server.
pub struct Gate {
    /// `None`: whoever reaches the service may do everything.
    keys: Option<RwLock<Keys>>,
    rates: DefaultKeyedRateLimiter<Arc<str>>,
}

impl Gate {
    /// A gate with these keys, or open.
    pub fn new(keys: Option<Keys>, requests_per_second: u32) -> Self {
        let rate = NonZeroU32::new(requests_per_second).unwrap_or(NonZeroU32::MIN);
        Self { keys: keys.map(RwLock::new), rates: RateLimiter::keyed(Quota::per_second(rate)) }
    }

    /// Takes other keys from now on; nothing where the service runs without.
    pub fn replace(&self, keys: Keys) {
        if let Some(current) = &self.keys {
            *current.write().unwrap_or_else(PoisonError::into_inner) = keys;
        }
    }

    /// Whether keys are asked for.
    pub fn is_locked(&self) -> bool {
        self.keys.is_some()
    }

    /// Who presents this key from this address.
    pub fn identify(&self, presented: Option<&str>, address: IpAddr) -> Result<Caller, Problem> {
        let Some(keys) = &self.keys else {
            let accounts = Arc::new(Accounts::all());
            return Ok(Caller { name: address.to_string().into(), role: Role::Admin, accounts });
        };
        let refused = |detail: &str, found: &str| {
            Problem::new(401, "unauthorized", "A key is needed", detail).with(
                "header.authorization",
                found,
                "Bearer and a key of this service",
            )
        };
        let Some(presented) = presented else {
            return Err(refused("send the header `Authorization: Bearer KEY`", "nothing"));
        };
        let keys = keys.read().unwrap_or_else(PoisonError::into_inner);
        let record = keys.find(presented);
        let record = record.ok_or_else(|| refused("the key is not known here", "an unknown key"))?;
        let accounts = Arc::new(record.accounts.clone());
        Ok(Caller { name: record.id.as_str().into(), role: record.role, accounts })
    }

    /// Whether the key of a caller is still one of these.
    pub fn knows(&self, caller: &Caller) -> bool {
        self.keys.as_ref().is_none_or(|keys| {
            let keys = keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.records().iter().any(|record| *record.id == *caller.name)
        })
    }

    /// Whether a client may ask once more this second.
    pub fn admit(&self, client: &Arc<str>) -> Result<(), Problem> {
        if self.rates.len() > REMEMBERED_CLIENTS {
            self.rates.retain_recent();
        }
        self.rates.check_key(client).map_err(|_| {
            let detail = "this client asks more often than its limit allows";
            Problem::new(429, "rate-limit", "Too many requests", detail).retry_after(1)
        })
    }
}

/// The layer of all routes that need a key.
pub async fn identify(
    State(app): State<Arc<App>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match app.gate.identify(bearer(&request), address.ip()) {
        Ok(caller) => caller,
        // Guesses are counted by address.
        Err(problem) => {
            let admitted = app.gate.admit(&address.ip().to_string().into());
            return admitted.err().unwrap_or(problem).into_response();
        }
    };
    let mut response = match app.gate.admit(&caller.name) {
        Ok(()) => {
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(caller);
    response
}

/// The layer of routes that need none.
pub async fn admit(
    State(app): State<Arc<App>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match app.gate.admit(&address.ip().to_string().into()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// The key of a request's header.
pub fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(super::answer::internal)
    }
}

/// A caller who may do everything: checked before a body is read.
pub struct Admin(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.must(Permission::Admin)?;
        Ok(Self(caller))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_held_to_its_rate_and_others_are_not() {
        let gate = Gate::new(None, 3);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let admitted = (0..10).filter(|_| gate.admit(&one).is_ok()).count();
        assert!((3..10).contains(&admitted), "{admitted}");
        assert_eq!(gate.admit(&one).unwrap_err().status, 429);
        assert!(gate.admit(&other).is_ok());
    }
}
