//! The terminal while `top` has it: another screen, no echo, single keys. Given back however `top` ends.

use std::io::{self, IsTerminal, Read, Write};
use std::process::{Command, Stdio};

use tokio::sync::mpsc;

use super::view::{Line, Room};
use crate::cli::terminal::Style;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Leave,
    Redraw,
}

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

/// The terminal, taken over until this is dropped.
pub(super) struct Screen {
    style: Style,
    keys: mpsc::Receiver<u8>,
    signals: Signals,
    /// What `stty -g` said; `None` where there is no such program: then keys need Enter.
    settings: Option<String>,
}

/// Settings of the terminal, by the program every Unix has for them: doing it ourselves takes `unsafe`.
fn stty(arguments: &[&str]) -> Option<String> {
    let output = Command::new("stty").args(arguments).stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Screen {
    pub fn open(style: Style) -> io::Result<Self> {
        let signals = Signals::new()?;
        let watched = io::stdin().is_terminal();
        let settings = if watched { stty(&["-g"]) } else { None };
        if settings.is_some() {
            stty(&["-icanon", "-echo", "min", "1"]);
        }
        let (sender, keys) = mpsc::channel(16);
        if watched {
            std::thread::spawn(move || {
                for key in io::stdin().lock().bytes() {
                    let Ok(key) = key else { return };
                    if sender.blocking_send(key).is_err() {
                        return;
                    }
                }
            });
        }
        let screen = Self { style, keys, signals, settings };
        let mut out = io::stdout().lock();
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(screen)
    }

    /// Waits for a key or a signal. May be dropped and asked again.
    pub async fn event(&mut self) -> Event {
        tokio::select! {
            Some(key) = self.keys.recv() => match key {
                b'q' | b'Q' | CTRL_C | CTRL_D => Event::Leave,
                _ => Event::Redraw,
            },
            event = self.signals.wait() => event,
        }
    }

    /// Shows as many of the lines made for it as there is room for. Written in one go and over what was there, so that
    /// nothing flickers.
    pub fn draw(&mut self, lines: impl FnOnce(Room) -> Vec<Line>) -> io::Result<()> {
        let size = terminal_size::terminal_size();
        let (width, height) = size.map_or((80, 24), |(w, h)| (usize::from(w.0), usize::from(h.0)));
        let lines = lines(Room { width: Some(width), height: Some(height) });
        let mut text = String::from("\x1b[H");
        for (at, line) in lines.iter().take(height.max(1)).enumerate() {
            if at > 0 {
                text.push_str("\r\n");
            }
            text.push_str(&line.render(self.style, Some(width)));
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
        if let Some(settings) = &self.settings {
            stty(&[settings]);
        }
    }
}

/// Signals that end us or change the size of the terminal.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    resize: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    async fn wait(&mut self) -> Event {
        tokio::select! {
            _ = self.interrupt.recv() => Event::Leave,
            _ = self.terminate.recv() => Event::Leave,
            _ = self.resize.recv() => Event::Redraw,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn wait(&mut self) -> Event {
        // Without a handler there is no end but that of the process, which comes by itself.
        let _ = tokio::signal::ctrl_c().await;
        Event::Leave
    }
}
