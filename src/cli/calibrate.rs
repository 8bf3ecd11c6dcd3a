//! `shortfall calibrate`: price histories and option quotes to a market file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use shortfall::calibrate::history::{self, parse_time};
use shortfall::calibrate::market_file::{self, WriteFault};
use shortfall::calibrate::volatility::Choice;
use shortfall::calibrate::{self, Calibration, Options, goodness, report};

use super::exit::{Failure, exit_codes};
use super::output;
use super::progress::Spinner;

/// Fit volatilities, jumps, tails and correlations to price histories: a market file for `run`
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Tables of daily or hourly closing prices: `date,close` each, or `date,BTC,ETH,...`
    #[arg(required = true)]
    pub histories: Vec<PathBuf>,
    /// The market file to write; its tables are written beside it
    #[arg(long, value_name = "FILE.yaml")]
    pub out: PathBuf,
    /// Replace an earlier market file and its tables
    #[arg(long)]
    pub force: bool,
    /// Option quotes: asset,expiry,strike,forward,bid_volatility,ask_volatility[,spot][,kind]
    #[arg(long, value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// Fit Heston, Bates and Merton to the chain as well, for the report
    #[arg(long, requires = "chain")]
    pub chain_models: bool,
    /// History of implied levels: time,asset,spot,volatility
    #[arg(long, value_name = "FILE")]
    pub implied_levels: Option<PathBuf>,
    /// History of forwards: time,asset,expiry,spot,forward
    #[arg(long, value_name = "FILE")]
    pub basis: Option<PathBuf>,
    /// History of funding: time,asset,rate, what longs paid for the interval
    #[arg(long, value_name = "FILE")]
    pub funding: Option<PathBuf>,
    /// The market's instant, such as 2026-02-04T21:33:08Z; prices after it are left out [default: the end of the last bar]
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub as_of: Option<Timestamp>,
    /// Models of volatility to choose from
    #[arg(long, value_enum, default_value_t = Volatility::Auto)]
    pub volatility: Volatility,
    /// Decay of EWMA per step: 0.94 a day is 0.9974 an hour
    #[arg(long, value_name = "X", default_value_t = 0.94, value_parser = decay)]
    pub decay: f64,
    /// Weight of a step in the correlation relative to the next; 1 weighs all alike, 0.99 a day is 0.9996 an hour
    #[arg(long, value_name = "X", default_value_t = 0.99, value_parser = decay)]
    pub correlation_decay: f64,
    /// Write a chart of quantiles for each asset into this folder, as SVG
    #[arg(long, value_name = "DIR")]
    pub charts: Option<PathBuf>,
    /// Print all estimates as JSON
    #[arg(long)]
    pub json: bool,
}

/// Models of volatility.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Volatility {
    /// The lowest BIC of all
    Auto,
    /// EWMA
    Ewma,
    /// GARCH(1,1)
    Garch,
    /// GJR-GARCH(1,1)
    Gjr,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall calibrate scenarios/history/crypto_daily.csv --out market.yaml
  shortfall calibrate data/*.csv --chain chain.csv --as-of 2026-02-04T21:33:08Z --out market.yaml
  shortfall calibrate scenarios/history/crypto_daily.csv --chain scenarios/history/chain_2026-02-04.csv --chain-models \
      --as-of 2026-02-04T21:33:08Z --out market.yaml

Every model is fitted by maximum likelihood, and the lowest BIC chosen. What is put right in the
input (rows out of order, repeated rows, gaps) is noted; two prices at one time are a fault.

",
    exit_codes!()
);

fn instant(text: &str) -> Result<Timestamp, String> {
    parse_time(text).ok_or_else(|| "an instant such as 2026-02-04T21:33:08Z, or a date".to_owned())
}

fn decay(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|x| *x >= 0.5 && *x <= 1.0);
    value.ok_or_else(|| "a number from 0.5 to 1".to_owned())
}

/// Calibrates and writes.
pub fn calibrate(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.out.exists() && !arguments.force {
        let out = arguments.out.display();
        return Err(Failure::Usage(format!("{out} exists; name another file, or add --force")));
    }
    let history = history::read(&arguments.histories)?;
    let options = Options {
        as_of: arguments.as_of,
        volatility: match arguments.volatility {
            Volatility::Auto => Choice::Auto,
            Volatility::Ewma => Choice::Ewma,
            Volatility::Garch => Choice::Garch,
            Volatility::Gjr => Choice::Gjr,
        },
        decay: arguments.decay,
        correlation_decay: arguments.correlation_decay,
        chain: arguments.chain.clone(),
        levels: arguments.implied_levels.clone(),
        basis: arguments.basis.clone(),
        funding: arguments.funding.clone(),
    };
    let spinner = Spinner::new("calibrating");
    let calibrated = calibrate::calibrate(&history, &options, &mut |what| spinner.stage(what));
    let written = calibrated.map_err(Failure::Input).and_then(|mut calibration| {
        spinner.stage("writing");
        let market = market_file::write(&mut calibration, &arguments.out).map_err(failure)?;
        if arguments.chain_models {
            calibration.fit_chain(&market, &mut |what| spinner.stage(what));
        }
        Ok((calibration, market))
    });
    spinner.finish();
    let (calibration, market) = written?;
    write_charts(arguments, &calibration)?;
    if arguments.json {
        let document = serde_json::to_string_pretty(&calibration).map_err(|e| Failure::Io(e.to_string()))?;
        return output::print(&format!("{document}\n"));
    }
    output::print(&report::text(&calibration, &market))?;
    output::say(&format!("wrote {}; name it as `market:` in a scenario", arguments.out.display()));
    Ok(())
}

fn failure(fault: WriteFault) -> Failure {
    match fault {
        WriteFault::Market(faults) => Failure::Input(faults),
        fault @ WriteFault::Io { .. } => Failure::Io(fault.to_string()),
    }
}

fn write_charts(arguments: &Arguments, calibration: &Calibration) -> Result<(), Failure> {
    let Some(folder) = &arguments.charts else { return Ok(()) };
    let io = |error: std::io::Error| Failure::Io(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(io)?;
    for fit in &calibration.assets {
        let title = format!("{}: returns against their law", fit.asset);
        let chart = goodness::quantile_plot(&title, &fit.probabilities);
        std::fs::write(folder.join(format!("{}_quantiles.svg", fit.asset)), chart).map_err(io)?;
    }
    Ok(())
}
