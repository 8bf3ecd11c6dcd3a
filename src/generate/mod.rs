//! Synthetic nights of a clearing house: a market and a book of any size, the same bytes for the
//! same seed.
//!
//! Nothing in them is real. They look like the real thing where it costs time: a few assets have
//! most of the options, a few market makers hold most of the positions, most accounts hold few.

mod book;
mod listing;
mod market;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Most accounts.
pub const MAX_ACCOUNTS: u64 = 1_000_000;
/// Most positions.
pub const MAX_POSITIONS: u64 = 20_000_000;
/// Most instruments.
pub const MAX_INSTRUMENTS: u64 = 10_000;
/// Most assets; see the market reader.
pub const MAX_ASSETS: u64 = 64;

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Night {
    /// Number of accounts.
    pub accounts: u64,
    /// Number of positions over all accounts, about; each account has one at least.
    pub positions: u64,
    /// Number of instruments.
    pub instruments: u64,
    /// Number of assets.
    pub assets: u64,
    /// Seed.
    pub seed: u64,
    /// Paths that its scenario asks for.
    pub paths: u64,
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Rows of the positions file.
    pub positions: u64,
    /// Instruments that somebody can hold.
    pub instruments: u64,
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", .path.display())]
pub struct GenerateFault {
    path: PathBuf,
    error: io::Error,
}

/// Streams of the generator: one for each file.
mod stream {
    pub const MARKET: u64 = 1;
    pub const BOOK: u64 = 2;
}

/// Writes a night into a new or empty folder.
pub fn generate(night: &Night, folder: &Path) -> Result<Made, GenerateFault> {
    let fault = |path: &Path, error| GenerateFault { path: path.to_owned(), error };
    fs::create_dir_all(folder).map_err(|error| fault(folder, error))?;
    let is_full = fs::read_dir(folder).map_err(|error| fault(folder, error))?.next().is_some();
    if is_full {
        let error = io::Error::new(io::ErrorKind::AlreadyExists, "not empty; name a new folder");
        return Err(fault(folder, error));
    }
    let file = |name: &str, write: &mut dyn FnMut(&mut BufWriter<File>) -> io::Result<()>| {
        let path = folder.join(name);
        let put = || {
            let mut file = BufWriter::with_capacity(1 << 20, File::create_new(&path)?);
            write(&mut file)?;
            file.flush()
        };
        let mut put = put;
        put().map_err(|error| fault(&path, error))
    };
    let market = market::Synthetic::new(night);
    let listing = listing::list(night, &market);
    file("market.yaml", &mut |out| market.write_yaml(out))?;
    file("correlation.csv", &mut |out| market.write_correlation(out))?;
    file("forwards.csv", &mut |out| market.write_forwards(out))?;
    file("surfaces.csv", &mut |out| market.write_surfaces(out))?;
    let book = book::Book::new(night, &market, &listing);
    file("accounts.csv", &mut |out| book.write_accounts(out))?;
    let mut positions = 0;
    file("positions.csv", &mut |out| {
        positions = book.write_positions(out)?;
        Ok(())
    })?;
    file("balances.csv", &mut |out| book.write_balances(out))?;
    file("scenario.yaml", &mut |out| out.write_all(scenario(night).as_bytes()))?;
    Ok(Made { positions, instruments: listing.len() as u64 })
}

fn scenario(night: &Night) -> String {
    let Night { accounts, positions, instruments, assets, seed, paths } = night;
    format!(
        "# A synthetic night: nothing in it is real. Made by
#   shortfall generate --accounts {accounts} --positions {positions} --instruments {instruments} --assets {assets} --seed {seed} --paths {paths} DIR

name: synthetic night

market: market.yaml

portfolio:
  accounts: accounts.csv
  positions: positions.csv
  balances: balances.csv

simulation: {{paths: {paths}, seed: {seed}, steps: 8, device: auto, precision: f32}}

margin:
  maintenance: {{confidence: 0.99, horizon: 1d}}
  initial: {{confidence: 0.99, horizon: 2d}}
  floor: 0.001
"
    )
}

/// A number in nine significant digits, so that the last bits of a platform's functions do not show.
fn rounded(x: f64) -> f64 {
    format!("{x:.8e}").parse().expect("a printed number reads back")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night() -> Night {
        Night { accounts: 300, positions: 4000, instruments: 200, assets: 12, seed: 5, paths: 4096 }
    }

    fn bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        let mut all: Vec<_> = entries
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_night_is_a_valid_scenario_and_depends_on_its_seed_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        let made = generate(&night(), &a).unwrap();
        assert_eq!(generate(&night(), &b).unwrap(), made);
        generate(&Night { seed: 6, ..night() }, &c).unwrap();
        assert_eq!(bytes(&a), bytes(&b));
        assert!(bytes(&a) != bytes(&c));
        assert!(generate(&night(), &a).is_err(), "a full folder is left alone");
        let scenario = crate::scenario::read(&a.join("scenario.yaml")).unwrap();
        assert_eq!(scenario.portfolio.accounts.len(), 300);
        assert_eq!(made.instruments, 200);
        assert!((3500..=4500).contains(&made.positions), "{made:?}");
        let mut sizes: Vec<usize> = scenario.portfolio.accounts.iter().map(|a| a.holdings.len()).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let (few, all): (usize, usize) = (sizes[..30].iter().sum(), sizes.iter().sum());
        assert!(2 * few > all, "a tenth of the accounts hold most positions: {few} of {all}");
    }

    #[test]
    fn the_smallest_and_odd_nights_are_valid_too() {
        let folder = tempfile::tempdir().unwrap();
        for (index, (accounts, instruments, assets)) in
            [(1, 1, 1), (2, 3, 2), (65, 63, 64), (7, 2000, 3)].into_iter().enumerate()
        {
            let place = folder.path().join(index.to_string());
            let night = Night { accounts, positions: 20 * accounts, instruments, assets, seed: 1, paths: 64 };
            let made = generate(&night, &place).unwrap();
            assert_eq!(made.instruments, instruments);
            let scenario = crate::scenario::read(&place.join("scenario.yaml"));
            assert!(scenario.is_ok(), "{}", scenario.unwrap_err());
            assert_eq!(scenario.unwrap().portfolio.accounts.len() as u64, accounts);
        }
    }
}
