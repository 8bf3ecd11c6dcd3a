//! Source files as the checks see them.

use std::path::{Path, PathBuf};

/// A file of the project: its path from the root of the repository, and its text.
#[derive(Clone, Debug)]
pub struct File {
    pub path: String,
    pub text: String,
}

impl File {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Inside `src/`, and what follows it; `None` elsewhere and for files of tests, which their
    /// module declares as `#[cfg(test)] mod tests;` or `..._tests`.
    pub fn in_src(&self) -> Option<&str> {
        let is_test = self.path.ends_with("/tests.rs") || self.path.ends_with("_tests.rs");
        self.path.strip_prefix("src/").filter(|_| !is_test && !self.path.contains("/tests/"))
    }

    /// The code alone: comments, strings and `#[cfg(test)]` modules are blanked, lines stay.
    pub fn code(&self) -> String {
        without_tests(&blank(&self.text))
    }
}

/// Folders and files at the root that are not ours to read.
const SKIPPED: [&str; 4] = ["target", "out", ".git", ".gl"];

/// Every text file of the project, sorted by its path.
pub fn project() -> Vec<File> {
    // Cargo sets it when a test runs, too: a binary that is kept serves another checkout.
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&root);
    let mut paths = Vec::new();
    walk(root, &mut paths, true);
    paths.sort();
    let read = |path: &PathBuf| {
        let text = String::from_utf8(std::fs::read(path).ok()?).ok()?;
        let path = path.strip_prefix(root).ok()?.to_str()?.replace('\\', "/");
        Some(File { path, text })
    };
    paths.iter().filter_map(read).collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>, is_root: bool) {
    for entry in std::fs::read_dir(folder).expect("a folder of the project can be listed").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let skipped = SKIPPED.iter().any(|skipped| name == *skipped) || name == "__pycache__";
        // A test may read `Cargo.lock` on its own; it is no file that somebody wrote.
        if path.is_dir() && !(is_root && skipped) && name != "__pycache__" {
            walk(&path, paths, false);
        } else if path.is_file() && name != "Cargo.lock" && !(is_root && skipped) {
            paths.push(path);
        }
    }
}

/// Blanks comments, strings and character literals; every line stays where it is.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => find(&chars, at, |i| chars[i] == '\n'),
            ('/', Some('*')) => find(&chars, at + 2, |i| chars[i - 1] == '*' && chars[i] == '/') + 1,
            ('r', Some('"' | '#')) if is_raw_string(&chars, at) => raw_string_end(&chars, at),
            ('"', _) => string_end(&chars, at),
            ('\'', Some('\\')) => find(&chars, at + 3, |i| chars[i] == '\'') + 1,
            ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
            _ => at,
        }
        .min(chars.len());
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn find(chars: &[char], from: usize, is_end: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|&i| is_end(i)).unwrap_or(chars.len())
}

fn is_raw_string(chars: &[char], at: usize) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    chars.get(at + 1 + hashes) == Some(&'"')
        && (at == 0
            || !is_word(chars[at - 1])
            || (chars[at - 1] == 'b' && (at < 2 || !is_word(chars[at - 2]))))
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let closes = |i: usize| chars[i] == '"' && (1..=hashes).all(|h| chars.get(i + h) == Some(&'#'));
    find(chars, at + hashes + 2, closes) + hashes + 1
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Blanks `#[cfg(test)] mod name { ... }` in text that has no comments and strings.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find("#[cfg(test)]") {
        let start = from + found;
        let open = out[start..].find(['{', ';']).map_or(out.len(), |i| start + i);
        let mut depth = 0;
        let mut end = open;
        for (offset, c) in out[open..].char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            end = open + offset + c.len_utf8();
            if depth <= 0 {
                break;
            }
        }
        let blanked: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blanked);
        from = start + blanked.len();
    }
    out
}

/// Whether `word` stands in `code` as a whole word, and on which line (from 1).
pub fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let holds = |line: &str| {
        line.match_indices(word)
            .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word))
    };
    code.lines().enumerate().filter(|(_, line)| holds(line)).map(|(index, _)| index + 1).collect()
}

#[test]
fn code_is_what_the_compiler_sees() {
    let text = r##"let a = "clap"; // clap
/* clap
*/ let b = r#"clap " clap"#; let c = '"'; let d: &'static str = "\"clap";
#[cfg(test)]
mod tests { fn clap() { { } } }
fn after() {}
"##;
    let code = File::new("src/a.rs", text).code();
    assert_eq!(lines_with_word(&code, "clap"), Vec::<usize>::new());
    assert_eq!(lines_with_word(&code, "after"), [6]);
    assert_eq!(lines_with_word(&code, "static"), [3]);
    assert_eq!(lines_with_word("clap_complete::x", "clap"), Vec::<usize>::new());
}
