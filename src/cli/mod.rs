//! The command line: one file per subcommand; the only reader of arguments and environment.

mod backtest;
mod bench;
mod calibrate;
mod compare;
mod completions;
mod device;
mod devices;
pub mod exit;
mod fail_if;
mod generate;
mod init;
mod keys;
mod liquidation;
mod margin;
mod merge;
mod oracle;
mod output;
mod overrides;
mod pack;
mod plan;
mod predict;
mod procyclicality;
mod progress;
mod report;
mod reverse;
mod run;
mod serve;
mod shard;
mod tune;
mod validate;
mod whatif;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::exit::{Failure, exit_codes};

/// Monte Carlo margins: Expected Shortfall with standard errors, for every account and stress
#[derive(Debug, Parser)]
#[command(name = "shortfall", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall init book                       write a commented example to start from
  shortfall run book/scenario.yaml          simulate it and show the table
  shortfall run book/scenario.yaml --json   the whole result for another program
  shortfall serve book/scenario.yaml        keep it resident and answer what-ifs over HTTP
  shortfall devices                         what there is to run on

",
    exit_codes!()
);

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Arguments),
    Plan(plan::Arguments),
    Shard(shard::Arguments),
    Merge(merge::Arguments),
    Calibrate(calibrate::Arguments),
    Backtest(backtest::Arguments),
    Tune(tune::Arguments),
    Predict(predict::Arguments),
    Margin(margin::Arguments),
    Compare(compare::Arguments),
    Generate(generate::Arguments),
    Liquidation(liquidation::Arguments),
    Reverse(reverse::Arguments),
    Oracle(oracle::Arguments),
    Serve(serve::Arguments),
    Whatif(whatif::Arguments),
    Keys(keys::Arguments),
    Procyclicality(procyclicality::Arguments),
    Validate(validate::Arguments),
    Bench(bench::Arguments),
    Report(report::Arguments),
    Devices(devices::Arguments),
    Init(init::Arguments),
    Completions(completions::Arguments),
}

/// Reads the command line; where there is nothing to do, the exit code after saying why.
pub fn parse() -> Result<Command, ExitCode> {
    Arguments::try_parse().map(|arguments| arguments.command).map_err(|error| {
        // Nothing can be done about a reader of the help that has left.
        let _ = error.print();
        if error.use_stderr() { exit::USAGE.into() } else { exit::DONE.into() }
    })
}

/// Does what was asked.
pub fn perform(command: Command) -> Result<(), Failure> {
    exit::keep_caught_panics_quiet();
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Shard(arguments) => shard::shard(&arguments),
        Command::Merge(arguments) => merge::merge(&arguments),
        Command::Predict(arguments) => predict::predict(&arguments),
        Command::Tune(arguments) => tune::tune(&arguments),
        Command::Backtest(arguments) => backtest::backtest(&arguments),
        Command::Calibrate(arguments) => calibrate::calibrate(&arguments),
        Command::Margin(arguments) => margin::margin(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Generate(arguments) => generate::generate(&arguments),
        Command::Liquidation(arguments) => liquidation::liquidation(&arguments),
        Command::Reverse(arguments) => reverse::reverse(&arguments),
        Command::Oracle(arguments) => oracle::oracle(&arguments),
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Whatif(arguments) => whatif::whatif(&arguments),
        Command::Keys(arguments) => keys::keys(&arguments),
        Command::Procyclicality(arguments) => procyclicality::procyclicality(&arguments),
        Command::Validate(arguments) => validate::validate(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Devices(arguments) => devices::devices(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
    }
}

/// The whole command line, for completions.
fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }
}
