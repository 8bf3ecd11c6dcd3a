//! Damaged files: a message or a result, never a panic.

use std::fs;

use shortfall::scenario;

use crate::book::{Book, KNOWN_CODES, say, shortfall};
use crate::inputs::{read_csv, write_parquet};

/// Mutations of each file that the program reads as a process.
const PROCESS_MUTATIONS: u64 = 12;
/// Mutations of each file that the library reads.
const LIBRARY_MUTATIONS: u64 = 400;
/// Mutations of a Parquet table.
const PARQUET_MUTATIONS: u64 = 100;
const FILES: [&str; 8] = [
    "scenario.yaml",
    "market/market.yaml",
    "market/correlation.csv",
    "market/forwards.csv",
    "market/surfaces.csv",
    "market/crises.csv",
    "positions.csv",
    "balances.csv",
];

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// Words that break readers more often than random bytes.
const WORDS: [&str; 16] = [
    "nan",
    ".inf",
    "-1",
    "1e308",
    "1e-320",
    "\"",
    "[",
    "{",
    ":",
    ",",
    "\n",
    "\0",
    "é",
    "&a",
    "*a",
    "0x7fffffffffffffff",
];

/// One to three changes: bytes flipped, removed, repeated, or replaced by a word.
fn mutate(content: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = content.to_vec();
    for _ in 0..1 + random.below(3) {
        let at = random.below(bytes.len().max(1)).min(bytes.len());
        let end = (at + 1 + random.below(12)).min(bytes.len());
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => bytes.truncate(at),
            _ => drop(bytes.splice(at..end, WORDS[random.below(WORDS.len())].bytes())),
        }
    }
    bytes
}

#[test]
fn damaged_files_never_panic_the_program() {
    let book = Book::new();
    let scenario = book.path("scenario.yaml");
    let mut refused = 0;
    for (index, name) in FILES.into_iter().enumerate() {
        let whole = fs::read(book.path(name)).unwrap();
        for round in 0..PROCESS_MUTATIONS {
            let mut random = Random(1000 * index as u64 + round);
            let damaged = mutate(&whole, &mut random);
            fs::write(book.path(name), &damaged).unwrap();
            let mut command = shortfall(["run".as_ref(), scenario.as_os_str()]);
            let options = ["--paths", "64", "--steps", "2", "--case", "base", "--json", "--device", "cpu"];
            let said = say(command.args(options));
            assert!(KNOWN_CODES.contains(&said.code));
            refused += u64::from(said.code == 65);
            if said.code == 65 {
                assert!(
                    said.stderr.contains("found ") || said.stderr.contains("no result"),
                    "{}",
                    said.stderr
                );
                assert_eq!(said.stdout, "");
            }
        }
        fs::write(book.path(name), &whole).unwrap();
    }
    let all = PROCESS_MUTATIONS * FILES.len() as u64;
    assert!(refused > all / 3 && refused < all, "{refused} of {all} were refused");
}

#[test]
fn damaged_files_never_panic_the_readers() {
    let book = Book::new();
    for (index, name) in FILES.into_iter().enumerate() {
        let whole = fs::read(book.path(name)).unwrap();
        for round in 0..LIBRARY_MUTATIONS {
            let mut random = Random((1 << 32) + 1000 * index as u64 + round);
            fs::write(book.path(name), mutate(&whole, &mut random)).unwrap();
            if let Err(faults) = scenario::read(&book.path("scenario.yaml")) {
                assert!(!faults.is_empty(), "{name}, round {round}: refused without a fault");
            }
        }
        fs::write(book.path(name), &whole).unwrap();
        assert!(scenario::read(&book.path("scenario.yaml")).is_ok());
    }
}

#[test]
fn damaged_parquet_never_panics_the_program() {
    let book = Book::new();
    let path = book.path("positions.parquet");
    write_parquet(&path, &read_csv(&book.read("positions.csv")));
    book.replace("scenario.yaml", "positions.csv", "positions.parquet");
    let whole = fs::read(&path).unwrap();
    for round in 0..PARQUET_MUTATIONS {
        let mut damaged = whole.clone();
        let mut random = Random((2 << 32) + round);
        for _ in 0..1 + random.below(2) {
            let at = random.below(damaged.len());
            damaged[at] ^= 1 << random.below(8);
        }
        fs::write(&path, &damaged).unwrap();
        let said = book.run(&["--paths", "64", "--steps", "2", "--case", "base", "--quiet"]);
        assert!(matches!(said.code, 0 | 65), "round {round}: {}: {}", said.code, said.stderr);
    }
}
