//! `shortfall keys`: API keys of a service.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use shortfall::service::keys::{Accounts, Keys, Role};

use super::exit::{Failure, exit_codes};
use super::output;

/// Make, list and remove API keys of a service
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a key, print it once, and add its hash to a file
    Add {
        /// File of keys; made where it is missing
        file: PathBuf,
        /// read: margins, what-ifs, events; trade: also change accounts; market: also change the
        /// market; admin: everything
        #[arg(long, value_parser = role)]
        role: Role,
        /// Names of accounts that it sees, or their beginnings before a `*`, separated by commas
        #[arg(long, value_name = "NAMES", value_parser = accounts, default_value = "*")]
        accounts: Accounts,
    },
    /// List keys: id, role, accounts, day
    List {
        /// File of keys
        file: PathBuf,
    },
    /// Remove a key
    Remove {
        /// File of keys
        file: PathBuf,
        /// Its id, as `list` shows it
        id: String,
    },
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall keys add keys.json --role read
  shortfall keys add keys.json --role trade --accounts 'market-maker,desk-*' > key.txt
  shortfall keys list keys.json

The file holds hashes: a key that is lost cannot be shown again. A running service reads the file again
at SIGHUP.

",
    exit_codes!()
);

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "expected read, trade, market or admin".to_owned())
}

fn accounts(text: &str) -> Result<Accounts, String> {
    Accounts::parse(text).ok_or_else(|| "expected names such as alpha,desk-*".to_owned())
}

/// Does it.
pub fn keys(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::Add { file, role, accounts } => {
            let key = Keys::add(file, *role, accounts.clone())?;
            output::say("the key is shown this once; keep it out of command lines and version control");
            output::print(&format!("{key}\n"))
        }
        Action::List { file } => {
            let keys = Keys::read(file)?;
            let line = |record: &shortfall::service::keys::KeyRecord| {
                format!("{}  {:6}  {}  {}\n", record.id, record.role.name(), record.created, record.accounts)
            };
            output::print(&keys.records().iter().map(line).collect::<String>())
        }
        Action::Remove { file, id } => {
            Keys::remove(file, id)?;
            output::say(&format!("removed {id}"));
            Ok(())
        }
    }
}
