//! Tails on disk: written beside, synced, renamed, so that a file of the right name is whole.
//!
//! ```text
//! magic, version, case, levels, bins, run id, accounts, paths, hash of the brackets
//! [account][level] of (count, sum, square)[BINS + 1], overflows   all u64, little endian
//! blake3 of everything before
//! ```

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::risk::{BINS, Bin, Bracket, Tail};
use crate::run::StoreFault;

const MAGIC: [u8; 8] = *b"SHRTFALL";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 120;
const HASH_BYTES: usize = 32;
/// Words of one tail.
const TAIL_WORDS: usize = 3 * (BINS + 1) + 1;
/// Bytes of one tail on disk, and in memory.
pub const TAIL_BYTES: usize = 8 * TAIL_WORDS;
const BUFFER_BYTES: usize = 1 << 20;

/// Which tails a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The run that they belong to.
    pub run_id: blake3::Hash,
    /// Index of the case.
    pub case: u32,
    /// Levels of an account.
    pub levels: u32,
    /// Accounts, as indices into the portfolio.
    pub accounts: Range<u64>,
    /// Paths that are in the tails.
    pub paths: Range<u64>,
    /// Hash of the brackets in which losses were counted.
    pub brackets: blake3::Hash,
}

/// Hash of brackets, `[account][level]`.
pub fn hash_brackets(brackets: &[Bracket]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for bracket in brackets {
        for number in [bracket.floor, bracket.bins_per_loss, bracket.quanta_per_loss] {
            hasher.update(&number.to_bits().to_le_bytes());
        }
    }
    hasher.finalize()
}

/// Puts tails at a path, and gives the hash of the file.
pub fn write(path: &Path, header: &Header, tails: &[Tail]) -> Result<blake3::Hash, StoreFault> {
    let mut hash = blake3::Hash::from_bytes([0; HASH_BYTES]);
    replace(path, |file| {
        let mut out = Hashing { file, hasher: blake3::Hasher::new() };
        out.write_all(&header.to_bytes())?;
        let mut bytes = Vec::with_capacity(TAIL_BYTES);
        for tail in tails {
            bytes.clear();
            for word in words(tail) {
                bytes.extend(word.to_le_bytes());
            }
            out.write_all(&bytes)?;
        }
        hash = out.hasher.finalize();
        out.file.write_all(hash.as_bytes())
    })?;
    Ok(hash)
}

/// Writes a file beside its place, syncs it, puts it in place and syncs the folder. Where that
/// fails, nothing is left beside and an earlier file stays.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), StoreFault> {
    let beside = beside(path);
    let put = || -> io::Result<()> {
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::create(&beside)?);
        write(&mut file)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder(path.parent())
    };
    put().map_err(|error| {
        // The first error says what is wrong; a file that cannot be removed is in nobody's way.
        let _ = fs::remove_file(&beside);
        StoreFault::Io { path: path.to_owned(), error }
    })
}

/// A rename is only sure to outlive a power failure once its folder is synced.
fn sync_folder(folder: Option<&Path>) -> io::Result<()> {
    match folder {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Ending of files that are being written.
const UNFINISHED: &str = "unfinished";

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{UNFINISHED}", std::process::id()));
    path.with_file_name(name)
}

/// Removes what killed processes left beside the files whose names start with `stem`.
pub fn sweep(folder: &Path, stem: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(stem) && name.ends_with(UNFINISHED) {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Reads a file's tails one by one, `visit(index, tail)`, and gives its header and hash. The bytes
/// are known to be right only when it returns.
pub fn read(
    path: &Path,
    check: impl FnOnce(&Header) -> Result<(), StoreFault>,
    mut visit: impl FnMut(usize, &Tail),
) -> Result<(Header, blake3::Hash), StoreFault> {
    let io_fault = |error| StoreFault::Io { path: path.to_owned(), error };
    let damaged = |found: String| StoreFault::Damaged { path: path.to_owned(), found };
    let file = File::open(path).map_err(io_fault)?;
    let bytes = file.metadata().map_err(io_fault)?.len();
    let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut head = [0; HEADER_BYTES];
    input.read_exact(&mut head).map_err(|_| damaged("it ends inside its header".to_owned()))?;
    let header = Header::from_bytes(&head).map_err(damaged)?;
    check(&header)?;
    let count = header.tails().ok_or_else(|| damaged("its ranges make no sense".to_owned()))?;
    let expected = count
        .checked_mul(TAIL_BYTES as u64)
        .and_then(|body| body.checked_add((HEADER_BYTES + HASH_BYTES) as u64));
    if expected != Some(bytes) {
        return Err(damaged(format!("it has {bytes} bytes, not the {expected:?} that its header says")));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&head);
    let mut buffer = [0; TAIL_BYTES];
    for index in 0..count as usize {
        input.read_exact(&mut buffer).map_err(io_fault)?;
        hasher.update(&buffer);
        visit(index, &tail(&buffer));
    }
    let mut stored = [0; HASH_BYTES];
    input.read_exact(&mut stored).map_err(io_fault)?;
    let hash = hasher.finalize();
    if hash != blake3::Hash::from_bytes(stored) {
        return Err(damaged("its contents do not have the hash at its end".to_owned()));
    }
    Ok((header, hash))
}

fn words(tail: &Tail) -> impl Iterator<Item = u64> + '_ {
    tail.bins.iter().flat_map(|bin| [bin.count, bin.sum, bin.square]).chain([tail.overflows])
}

fn tail(bytes: &[u8; TAIL_BYTES]) -> Tail {
    let word = |index: usize| {
        u64::from_le_bytes(bytes[8 * index..8 * index + 8].try_into().expect("a slice of eight bytes"))
    };
    let bin =
        |index: usize| Bin { count: word(3 * index), sum: word(3 * index + 1), square: word(3 * index + 2) };
    Tail { bins: std::array::from_fn(bin), overflows: word(TAIL_WORDS - 1) }
}

impl Header {
    /// Number of tails; `None` where the ranges are no ranges.
    fn tails(&self) -> Option<u64> {
        let accounts = self.accounts.end.checked_sub(self.accounts.start)?;
        self.paths.end.checked_sub(self.paths.start)?;
        accounts.checked_mul(u64::from(self.levels))
    }

    fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        for number in [VERSION, self.case, self.levels, BINS as u32] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.run_id.as_bytes());
        for number in [self.accounts.start, self.accounts.end, self.paths.start, self.paths.end] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.brackets.as_bytes());
        bytes.try_into().expect("8 + 4 * 4 + 32 + 4 * 8 + 32 bytes")
    }

    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, String> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let hash_at = |at: usize| blake3::Hash::from_bytes(bytes[at..at + 32].try_into().expect("32 bytes"));
        if bytes[..8] != MAGIC {
            return Err("it does not hold tails".to_owned());
        }
        if (u32_at(8), u32_at(20)) != (VERSION, BINS as u32) {
            return Err(format!(
                "it has form {} with {} bins, not {VERSION} with {BINS}",
                u32_at(8),
                u32_at(20)
            ));
        }
        Ok(Self {
            case: u32_at(12),
            levels: u32_at(16),
            run_id: hash_at(24),
            accounts: u64_at(56)..u64_at(64),
            paths: u64_at(72)..u64_at(80),
            brackets: hash_at(88),
        })
    }
}

struct Hashing<'a> {
    file: &'a mut BufWriter<File>,
    hasher: blake3::Hasher,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            run_id: blake3::hash(b"run"),
            case: 3,
            levels: 2,
            accounts: 5..8,
            paths: 64..192,
            brackets: blake3::hash(b"brackets"),
        }
    }

    fn tails() -> Vec<Tail> {
        let bin = |i: u64| Bin { count: i, sum: i << 40, square: u64::MAX - i };
        let tail = |t: u64| Tail { bins: std::array::from_fn(|i| bin(100 * t + i as u64)), overflows: t };
        (0..6).map(tail).collect()
    }

    fn back(path: &Path) -> Result<(Header, Vec<Tail>, blake3::Hash), StoreFault> {
        let mut tails = Vec::new();
        let (header, hash) = read(path, |_| Ok(()), |_, tail| tails.push(tail.clone()))?;
        Ok((header, tails, hash))
    }

    #[test]
    fn tails_come_back_as_they_were_and_nothing_is_left_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("case.tails");
        let hash = write(&path, &header(), &tails()).unwrap();
        assert_eq!(write(&path, &header(), &tails()).unwrap(), hash);
        assert_eq!(back(&path).unwrap(), (header(), tails(), hash));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// A disk that is full in the middle of a file, or when it is synced: what was there stays.
    #[test]
    fn a_write_that_fails_keeps_the_file_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("case.tails");
        write(&path, &header(), &tails()).unwrap();
        let before = fs::read(&path).unwrap();
        for written in [0, 100, 3 * BUFFER_BYTES] {
            let fault = replace(&path, |file| {
                file.write_all(&vec![7; written])?;
                Err(io::ErrorKind::StorageFull.into())
            });
            assert!(
                matches!(&fault, Err(StoreFault::Io { error, .. }) if error.kind() == io::ErrorKind::StorageFull)
            );
            assert_eq!(fs::read(&path).unwrap(), before);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside");
        }
    }

    #[test]
    fn every_flipped_byte_and_every_shorter_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("case.tails");
        write(&path, &header(), &tails()).unwrap();
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            fs::write(&path, &bad).unwrap();
            assert!(matches!(back(&path), Err(StoreFault::Damaged { .. })), "byte {at}");
        }
        for length in (0..good.len()).step_by(61) {
            fs::write(&path, &good[..length]).unwrap();
            assert!(matches!(back(&path), Err(StoreFault::Damaged { .. })), "{length} bytes");
        }
    }
}
