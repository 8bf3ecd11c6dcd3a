//! `shortfall serve`: keep a scenario resident and answer over HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use shortfall::engine::cpu::CpuKeeper;
use shortfall::scenario::DeviceChoice;
use shortfall::service::config::{self, Served};
use shortfall::service::http::{self, Limits, Options, TlsFiles};
use shortfall::service::{Clock, Desk, DeskFault};
use tracing_subscriber::filter::LevelFilter;

use super::device;
use super::exit::{Failure, exit_codes};
use super::output;
use super::overrides::Overrides;

/// Keep a scenario resident and answer what-ifs over HTTP
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The scenario, a YAML file; its `service` mapping holds the settings
    pub scenario: PathBuf,
    /// Address and port to listen on; port 0 takes a free one [default: `service.listen`, 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub bind: Option<SocketAddr>,
    /// A name by which clients reach the service, beside the address; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// File of API keys, made by `shortfall keys add`; needed where others can reach the address
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    pub keys: Option<PathBuf>,
    /// Certificate chain for TLS, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Security")]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate", help_heading = "Security")]
    pub tls_key: Option<PathBuf>,
    /// Requests a second of one client before it is told to wait
    #[arg(long, value_name = "N", default_value_t = Limits::default().requests_per_second, help_heading = "Limits")]
    pub rate: u32,
    /// What-ifs that compute at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = at_once, help_heading = "Limits")]
    pub at_once: usize,
    /// Requests that wait for their turn, in each queue
    #[arg(long, value_name = "N", default_value_t = Limits::default().waiting, help_heading = "Limits")]
    pub waiting: usize,
    /// Least level of what is logged on standard error, one JSON object a line
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
    #[command(flatten)]
    pub overrides: Overrides,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogLevel {
    /// Failures.
    Error,
    /// Also refusals, changes, subscriptions.
    Info,
    /// Also every read.
    Debug,
}

/// Memory of the cube, the factors and the accounts' losses where the scenario sets no limit: a question
/// may bring instruments, which stay.
const MEMORY_LIMIT_BYTES: u64 = 8 << 30;

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall serve scenarios/service.yaml            then open http://127.0.0.1:8080
  curl -s localhost:8080/v1/accounts/market-maker/margin
  shortfall whatif --account market-maker BTC-27MAR26-80000-C +10

  shortfall keys add keys.json --role trade --accounts 'desk-*'
  shortfall serve book.yaml --bind 0.0.0.0:8443 --keys keys.json \\
      --tls-certificate chain.pem --tls-key key.pem

SIGTERM and Ctrl-C let requests in flight finish; SIGHUP reads the keys again.

",
    exit_codes!()
);

fn at_once(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=256).contains(n)).ok_or_else(|| "expected 1 to 256".to_owned())
}

/// Serves until it is told to stop.
pub fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let mut served = config::read(&arguments.scenario)?;
    arguments.overrides.apply(&mut served.scenario)?;
    served.config.memory_limit.get_or_insert(MEMORY_LIMIT_BYTES);
    let options = options(arguments, &served);
    log_to_standard_error(arguments.log_level);
    let accounts = served.accounts.len();
    output::say(&format!("{}: margining {accounts} accounts …", served.scenario.name));
    let desk = open(served)?;
    let running = http::start(Arc::new(desk), &options)?;
    output::print(&format!("listening on {}\n", running.url()))?;
    output::say(&format!("dashboard {0}/, API {0}/docs; Ctrl-C to stop", running.url()));
    running.wait().map_err(|error| Failure::Io(error.to_string()))
}

/// Opens the desk on the device of the scenario. What a GPU that nobody named cannot keep is kept on the
/// CPU.
fn open(served: Served) -> Result<Desk, Failure> {
    let choice = &served.scenario.simulation.device;
    let keeper = device::keeper(choice)?;
    let clock: Clock = Arc::new(jiff::Timestamp::now);
    let on_cpu = (*choice == DeviceChoice::Auto).then(|| served.clone());
    let name = keeper.device().name;
    let opened = match (Desk::open_on(served, keeper, Arc::clone(&clock)), on_cpu) {
        (Err(DeskFault::Device(fault)), Some(served)) => {
            let reason = format!("{name} gave up: {fault}");
            output::say(&format!("going on with the CPU: {reason}"));
            Desk::open_on(served, Arc::new(CpuKeeper::new(&reason)), clock)
        }
        (opened, _) => opened,
    };
    let desk = opened.map_err(|fault| match fault {
        DeskFault::Device(fault) => fault.into(),
        fault => Failure::Data(fault.to_string()),
    })?;
    output::say(&format!("the cube is kept on {}", desk.status().device));
    Ok(desk)
}

/// The command line before the file.
fn options(arguments: &Arguments, served: &Served) -> Options {
    let config = &served.config;
    let tls = arguments.tls_certificate.clone().zip(arguments.tls_key.clone()).or_else(|| config.tls.clone());
    let limits = Limits {
        requests_per_second: arguments.rate,
        what_ifs_at_once: arguments.at_once,
        waiting: arguments.waiting,
        ..Limits::default()
    };
    Options {
        bind: arguments.bind.unwrap_or(config.listen),
        hosts: arguments.hosts.clone(),
        keys: arguments.keys.clone().or_else(|| config.keys.clone()),
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        limits,
    }
}

fn log_to_standard_error(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Fails where a log is set up already, which is as good.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .try_init();
}
