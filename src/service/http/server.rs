//! From options to a process that listens, and back.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::accept::{Accept, DefaultAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::app::App;
use super::options::Options;
use super::{routes, tls};
use crate::service::Desk;
use crate::service::keys::{KeyFault, Keys};

/// Threads that answer; what takes long computes elsewhere.
const ANSWERING_THREADS: usize = 2;
/// Time between two foldings of the figures' samples.
const LOOK_TIME: Duration = Duration::from_secs(1);
const FOLD_TIME: Duration = Duration::from_secs(5);

/// Time in which subscribers are told that the service stops.
const TELL_TIME: Duration = Duration::from_secs(2);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeFault {
    /// Everyone could reach it, and nobody needs a key.
    #[error(
        "{0} is not a loopback address, and there are no keys: anyone there could do everything; \
         make keys with `shortfall keys add FILE --role ROLE` and start with --keys FILE"
    )]
    KeysNeeded(SocketAddr),
    /// The file of keys cannot be used.
    #[error("{0}")]
    Keys(#[from] KeyFault),
    /// The file of keys has none.
    #[error("{}: found no key; add one with `shortfall keys add`", .0.display())]
    NoKeys(PathBuf),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// The address cannot be bound, or the system refuses threads.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// A service that listens.
pub struct Running {
    address: SocketAddr,
    is_tls: bool,
    runtime: Runtime,
    app: Arc<App>,
    keys: Option<PathBuf>,
    handle: Handle<SocketAddr>,
    stop: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

/// Starts to listen; everything that can be wrong is found before.
pub fn start(desk: Arc<Desk>, options: &Options) -> Result<Running, ServeFault> {
    if !options.bind.ip().is_loopback() && options.keys.is_none() {
        return Err(ServeFault::KeysNeeded(options.bind));
    }
    let keys = options.keys.as_deref().map(Keys::read).transpose()?;
    if let Some((path, _)) = options.keys.as_ref().zip(keys.as_ref()).filter(|(_, k)| k.records().is_empty())
    {
        return Err(ServeFault::NoKeys(path.clone()));
    }
    let tls = options.tls.as_ref().map(tls::config).transpose().map_err(ServeFault::Tls)?;
    let refused = |error| ServeFault::Listen { address: options.bind, error };
    let listener = TcpListener::bind(options.bind).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ANSWERING_THREADS)
        .thread_name("http")
        .enable_all()
        .build()
        .map_err(refused)?;
    let (stop, stopping) = watch::channel(false);
    let (keyed, open, document) = routes::api();
    let app = Arc::new(App::new(desk, options, keys, address, &document, stopping));
    let router = routes::router(keyed, open, &app);
    let handle = Handle::new();
    let limits = Limited { handle: handle.clone(), most: options.limits.connections, inner: DefaultAcceptor };
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let _inside = runtime.enter();
    let mut server =
        axum_server::from_tcp(listener).map_err(refused)?.handle(handle.clone()).acceptor(limits);
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(options.limits.arrival);
    let is_tls = tls.is_some();
    let task = match tls {
        Some(config) => {
            let config = RustlsConfig::from_config(config);
            let arrival = options.limits.arrival;
            runtime.spawn(
                server
                    .map(move |plain| RustlsAcceptor::new(config).handshake_timeout(arrival).acceptor(plain))
                    .serve(service),
            )
        }
        None => runtime.spawn(server.serve(service)),
    };
    runtime.spawn(fold(Arc::clone(&app)));
    runtime.spawn(look_after_device(Arc::clone(&app)));
    drop(_inside);
    Ok(Running { address, is_tls, runtime, app, keys: options.keys.clone(), handle, stop, task })
}

async fn fold(app: Arc<App>) {
    loop {
        tokio::time::sleep(FOLD_TIME).await;
        app.metrics.fold();
    }
}

/// Looks whether the device is still there, and logs when the CPU has taken its place.
async fn look_after_device(app: Arc<App>) {
    let mut fallbacks = 0;
    let mut fault = None;
    loop {
        let desk = Arc::clone(&app.desk);
        // Nothing is left to look after once the runtime stops.
        let looked = tokio::task::spawn_blocking(move || (desk.look_after_device(), desk.status())).await;
        let Ok((looked, status)) = looked else { return };
        if status.device_fallbacks > fallbacks {
            let reason = status.device_given_up.unwrap_or_default();
            tracing::error!(device = status.device, reason, "the device was lost: the CPU took its place");
            fallbacks = status.device_fallbacks;
        }
        let failed = looked.err().map(|fault| fault.to_string());
        if let Some(failed) = failed.as_ref().filter(|failed| fault.as_ref() != Some(*failed)) {
            tracing::error!(fault = failed, "the device is lost, and the CPU has not taken its place");
        }
        fault = failed;
        tokio::time::sleep(LOOK_TIME).await;
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client on this machine is given: `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.address)
    }

    /// Serves until SIGTERM or SIGINT, then lets requests in flight finish. SIGHUP reads the keys
    /// again.
    pub fn wait(self) -> io::Result<()> {
        self.runtime.block_on(signalled(|| self.read_keys()))?;
        self.stop()
    }

    /// Takes no more requests, and lets those in flight finish.
    pub fn stop(self) -> io::Result<()> {
        let Self { runtime, app, handle, stop, task, .. } = self;
        tracing::info!(connections = handle.connection_count(), "stopping: requests in flight are finished");
        stop.send_replace(true);
        handle.graceful_shutdown(Some(app.limits.drain));
        let ended = runtime.block_on(async {
            let ended = task.await;
            // Each subscriber gives its room back once it has been told.
            let _ =
                tokio::time::timeout(TELL_TIME, app.subscribers.acquire_many(app.limits.subscribers)).await;
            ended
        });
        // Computations that nobody waits for any more see their flag within a block of paths.
        runtime.shutdown_timeout(Duration::from_secs(5));
        ended.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn read_keys(&self) {
        let Some(path) = &self.keys else { return };
        match Keys::read(path) {
            Ok(keys) => {
                tracing::info!(keys = keys.records().len(), "read the keys again");
                self.app.gate.replace(keys);
            }
            Err(fault) => tracing::error!(%fault, "the keys stay as they were"),
        }
    }
}

/// Waits for a signal to stop; `again` is called for each SIGHUP before it.
#[cfg(unix)]
async fn signalled(again: impl Fn()) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            interrupted = tokio::signal::ctrl_c() => return interrupted,
            _ = hang_up.recv() => again(),
        }
    }
}

#[cfg(not(unix))]
async fn signalled(_again: impl Fn()) -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Closes connections beyond a number at once.
#[derive(Clone)]
struct Limited {
    handle: Handle<SocketAddr>,
    most: usize,
    inner: DefaultAcceptor,
}

impl<I, S> Accept<I, S> for Limited {
    type Stream = I;
    type Service = S;
    type Future = std::future::Ready<io::Result<(I, S)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        if self.handle.connection_count() > self.most {
            return std::future::ready(Err(io::Error::other("too many connections")));
        }
        self.inner.accept(stream, service)
    }
}
