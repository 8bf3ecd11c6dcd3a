//! API keys: who may do what with which accounts.
//!
//! A key is `sfk_ID_SECRET`: a public id of 64 bits and a secret of 256 bits from the operating
//! system. The file holds a BLAKE3 hash of the whole key and never the key. A slow password hash
//! would buy nothing: it guards secrets that can be guessed, and 256 random bits cannot.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};

/// Largest file of keys.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Most accounts or prefixes of a key.
const MAX_ACCOUNTS: usize = 10_000;
/// Longest key that is looked at.
const MAX_KEY_BYTES: usize = 128;
/// Characters of an id.
const ID_DIGITS: usize = 16;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read margins and events of its accounts, ask what-ifs; change nothing.
    Read,
    /// Also change its accounts.
    Trade,
    /// Read, and change the market.
    Market,
    /// Everything.
    Admin,
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Look and calculate; nothing changes.
    Read,
    /// Change accounts.
    Trade,
    /// Change the market.
    Market,
    /// Export and import everything.
    Admin,
}

impl Role {
    /// All roles, the weakest first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Trade, Self::Market, Self::Admin];

    /// As files and messages write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Trade => "trade",
            Self::Market => "market",
            Self::Admin => "admin",
        }
    }

    /// Reads a role's name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == text)
    }

    /// Whether the role includes a kind of request.
    pub fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::Read => true,
            Permission::Trade => matches!(self, Self::Trade | Self::Admin),
            Permission::Market => matches!(self, Self::Market | Self::Admin),
            Permission::Admin => self == Self::Admin,
        }
    }
}

/// Accounts that a key may see: exact names, or the beginnings of names before a `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Accounts(Vec<String>);

impl Accounts {
    /// Every account.
    pub fn all() -> Self {
        Self(vec!["*".to_owned()])
    }

    /// Reads `alpha,desk-*`; `None` where an item is empty or a `*` does not end it.
    pub fn parse(text: &str) -> Option<Self> {
        let accounts = Self(text.split(',').map(|item| item.trim().to_owned()).collect());
        accounts.is_right().then_some(accounts)
    }

    /// Whether an account is among them.
    pub fn include(&self, account: &str) -> bool {
        self.0.iter().any(|item| match item.strip_suffix('*') {
            Some(beginning) => account.starts_with(beginning),
            None => item == account,
        })
    }

    /// Whether every account is among them.
    pub fn are_all(&self) -> bool {
        self.0.iter().any(|item| item == "*")
    }

    fn is_right(&self) -> bool {
        let right = |item: &String| {
            !item.is_empty() && item.char_indices().all(|(at, c)| c != '*' || at + 1 == item.len())
        };
        (1..=MAX_ACCOUNTS).contains(&self.0.len()) && self.0.iter().all(right)
    }
}

impl std::fmt::Display for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// A key as its file knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Public name of the key; stands in logs.
    pub id: String,
    /// What it may do.
    pub role: Role,
    /// What it may see.
    pub accounts: Accounts,
    /// BLAKE3 of the whole key, hexadecimal.
    pub blake3: String,
    /// When it was made, UTC.
    pub created: String,
}

/// All keys of a service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    keys: Vec<KeyRecord>,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The system refused.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is not a file of keys.
    #[error("{}: found {found}; expected a file that `shortfall keys add` wrote", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// No key has this id.
    #[error("{}: there is no key {id}; `shortfall keys list` shows them", .path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// The system gave no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(String),
}

impl Keys {
    /// Reads a file of keys.
    pub fn read(path: &Path) -> Result<Self, KeyFault> {
        let io = |error| KeyFault::Io { path: path.to_owned(), error };
        let form = |found: String| KeyFault::Form { path: path.to_owned(), found };
        let mut text = String::new();
        File::open(path).map_err(io)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(io)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(form(format!("more than {MAX_FILE_BYTES} bytes")));
        }
        // The message of the JSON reader names a place, and never a value of the file.
        let keys: Self = serde_json::from_str(&text)
            .map_err(|error| form(format!("a fault at line {}, column {}", error.line(), error.column())))?;
        for record in &keys.keys {
            let hash = blake3::Hash::from_hex(&record.blake3);
            if hash.is_err() || !is_id(&record.id) || !record.accounts.is_right() {
                return Err(form("a key with a wrong id, hash or list of accounts".to_owned()));
            }
        }
        Ok(keys)
    }

    /// The key that was presented, if it is one of these. Takes the same time for a wrong secret as
    /// for an unknown id, and compares in constant time.
    pub fn find(&self, presented: &str) -> Option<&KeyRecord> {
        let presented = presented.get(..presented.len().min(MAX_KEY_BYTES)).unwrap_or_default();
        let id = presented.strip_prefix("sfk_").and_then(|rest| rest.split('_').next()).unwrap_or_default();
        let record = self.keys.iter().find(|record| record.id == id);
        let known = record.and_then(|record| blake3::Hash::from_hex(&record.blake3).ok());
        // The comparison of two hashes takes the same time wherever they differ.
        let is_right =
            blake3::hash(presented.as_bytes()) == known.unwrap_or(blake3::Hash::from_bytes([0; 32]));
        record.filter(|_| is_right)
    }

    /// Every key, without its secret.
    pub fn records(&self) -> &[KeyRecord] {
        &self.keys
    }

    /// Makes a key, adds its hash to a file, and returns the key: the only time it is seen.
    pub fn add(path: &Path, role: Role, accounts: Accounts) -> Result<String, KeyFault> {
        let mut keys = if path.exists() { Self::read(path)? } else { Self::default() };
        let (id, secret): ([u8; ID_DIGITS / 2], [u8; 32]) = (random()?, random()?);
        let id = hex(&id);
        let key = format!("sfk_{id}_{}", hex(&secret));
        keys.keys.push(KeyRecord {
            id,
            role,
            accounts,
            blake3: blake3::hash(key.as_bytes()).to_hex().to_string(),
            created: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        keys.write(path)?;
        Ok(key)
    }

    /// Takes a key out of a file.
    pub fn remove(path: &Path, id: &str) -> Result<(), KeyFault> {
        let mut keys = Self::read(path)?;
        let before = keys.keys.len();
        keys.keys.retain(|record| record.id != id);
        if keys.keys.len() == before {
            return Err(KeyFault::Unknown {
                path: path.to_owned(),
                id: id.chars().take(ID_DIGITS).collect(),
            });
        }
        keys.write(path)
    }

    /// Writes beside the file and renames: whole or not at all, and for the owner's eyes alone.
    fn write(&self, path: &Path) -> Result<(), KeyFault> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let text = serde_json::to_string_pretty(self).expect("plain fields become JSON");
        let written = (|| {
            let mut file = private_file(&beside)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&beside, path)
        })();
        written.map_err(|error| KeyFault::Io { path: path.to_owned(), error })
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn random<const N: usize>() -> Result<[u8; N], KeyFault> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| KeyFault::Random(error.to_string()))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_and_a_wrong_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let key = Keys::add(&path, Role::Trade, Accounts::parse("alpha,desk-*").unwrap()).unwrap();
        let other = Keys::add(&path, Role::Admin, Accounts::all()).unwrap();
        let keys = Keys::read(&path).unwrap();
        assert_eq!(keys.find(&key).unwrap().role, Role::Trade);
        assert_eq!(keys.find(&other).unwrap().role, Role::Admin);
        let swapped = format!("{}{}", &key[..21], &other[21..]);
        for wrong in ["", "sfk_", "sfk__", &key[..key.len() - 1], &format!("{key}0"), &swapped, "ä_ö"] {
            assert!(keys.find(wrong).is_none(), "{wrong}");
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&key[21..]), "the secret is in the file");
    }

    #[test]
    fn a_removed_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let key = Keys::add(&path, Role::Read, Accounts::all()).unwrap();
        let id = Keys::read(&path).unwrap().records()[0].id.clone();
        assert!(matches!(Keys::remove(&path, "0000"), Err(KeyFault::Unknown { .. })));
        Keys::remove(&path, &id).unwrap();
        assert!(Keys::read(&path).unwrap().find(&key).is_none());
    }

    #[test]
    fn accounts_are_names_and_beginnings() {
        let accounts = Accounts::parse("alpha, desk-*").unwrap();
        for (name, is_in) in
            [("alpha", true), ("alphab", false), ("desk-", true), ("desk-1", true), ("des", false)]
        {
            assert_eq!(accounts.include(name), is_in, "{name}");
        }
        assert!(Accounts::all().include("anything") && Accounts::all().are_all());
        for wrong in ["", "a,,b", "*a", "a*b", "**"] {
            assert_eq!(Accounts::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn roles_include_what_they_say() {
        use Permission::{Admin, Market, Read, Trade};
        let table = [
            (Role::Read, [true, false, false, false]),
            (Role::Trade, [true, true, false, false]),
            (Role::Market, [true, false, true, false]),
            (Role::Admin, [true, true, true, true]),
        ];
        for (role, expected) in table {
            assert_eq!([Read, Trade, Market, Admin].map(|p| role.may(p)), expected, "{}", role.name());
            assert_eq!(Role::parse(role.name()), Some(role));
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        Keys::add(&path, Role::Read, Accounts::all()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
