//! What the process is connected to: width, colour, and whether anybody watches.

use std::io::{self, IsTerminal, Write};

/// How text for people may look on one stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    pub color: bool,
    /// Columns of the terminal; `None` where there is none, so nothing need fit.
    pub width: Option<usize>,
}

/// A colour by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tint {
    Critical,
    High,
    Medium,
    Low,
    Dim,
    Bold,
}

impl Tint {
    fn code(self) -> &'static str {
        match self {
            Self::Critical => "1;37;41",
            Self::High => "1;31",
            Self::Medium => "33",
            Self::Low => "36",
            Self::Dim => "2",
            Self::Bold => "1",
        }
    }
}

impl From<crate::alert::Severity> for Tint {
    fn from(severity: crate::alert::Severity) -> Self {
        use crate::alert::Severity;
        match severity {
            Severity::Critical => Self::Critical,
            Severity::High => Self::High,
            Severity::Medium => Self::Medium,
            Severity::Low => Self::Low,
            Severity::Informational => Self::Dim,
        }
    }
}

impl Style {
    /// The text in a colour, if there are colours.
    pub fn paint(&self, tint: Tint, text: &str) -> String {
        if self.color { format!("\x1b[{}m{text}\x1b[0m", tint.code()) } else { text.to_owned() }
    }
}

/// The process's streams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    pub stdout: Style,
    pub stderr: Style,
    pub stdout_is_terminal: bool,
    /// Whether a progress bar has anybody to look at it.
    pub progress: bool,
    pub quiet: bool,
}

impl Terminal {
    #[expect(
        clippy::disallowed_methods,
        reason = "NO_COLOR and TERM are about this terminal, no configuration"
    )]
    pub fn detect(quiet: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        let style = |is_terminal: bool, size: Option<(terminal_size::Width, terminal_size::Height)>| Style {
            color: is_terminal && !plain,
            width: size.filter(|_| is_terminal).map(|(width, _)| usize::from(width.0).max(20)),
        };
        let (stdout, stderr) = (io::stdout(), io::stderr());
        Self {
            stdout: style(stdout.is_terminal(), terminal_size::terminal_size_of(&stdout)),
            stderr: style(stderr.is_terminal(), terminal_size::terminal_size_of(&stderr)),
            stdout_is_terminal: stdout.is_terminal(),
            progress: stderr.is_terminal() && !quiet,
            quiet,
        }
    }
}

/// Writes a line to standard error. That nobody reads it is no fault.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether a character could steer a terminal or turn the direction of its text.
pub(super) fn hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text that came from a log made safe to show: a control or direction character in a user name must
/// not steer the reader's terminal.
pub(super) fn safe(text: &str) -> String {
    if !text.contains(hidden) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | '\r' => safe.push(' '),
            c if hidden(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_only_where_there_is_any() {
        assert_eq!(Style::default().paint(Tint::High, "x"), "x");
        assert_eq!(Style { color: true, width: None }.paint(Tint::High, "x"), "\x1b[1;31mx\x1b[0m");
    }

    #[test]
    fn log_text_cannot_steer_the_terminal() {
        assert_eq!(safe("a\x1b[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb c\\u{202e}d");
        assert_eq!(safe("plain é"), "plain é");
    }
}
