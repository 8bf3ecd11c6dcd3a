//! Standard output and standard error, as a program uses them: no panic where a reader has left.

use std::io::{self, ErrorKind, IsTerminal, Write};

use shortfall::report::text::Style;

use super::exit::Failure;

/// Width of a table that no terminal limits.
const UNLIMITED_WIDTH: usize = 160;

/// Writes to standard output. A reader that has left early is no fault.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Io(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error, without the control characters that file names and cells may
/// hold. Where standard error is closed, nobody is there to tell.
pub fn say(text: &str) {
    let mut line: String =
        text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    line.push('\n');
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Like [`say`], over a progress bar that may stand in the line.
pub fn say_over_bar(text: &str) {
    if io::stderr().is_terminal() {
        let _ = io::stderr().lock().write_all(b"\r\x1b[K");
    }
    say(text);
}

/// How tables look on standard output: colours and the line's width only for a terminal.
pub fn style() -> Style {
    if !io::stdout().is_terminal() {
        return Style { width: UNLIMITED_WIDTH, colour: false };
    }
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    let width = terminal_size::terminal_size().map_or(UNLIMITED_WIDTH, |(width, _)| usize::from(width.0));
    Style { width, colour: !set("NO_COLOR") && !dumb }
}
