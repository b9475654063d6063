//! `aksentry top`: a running service in the terminal, from its `/status` and `/metrics`.

mod poll;
mod screen;
mod view;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::time::MissedTickBehavior;

use super::output::{Format, stdout};
use super::{Context, Exit};
use poll::{Client, Snapshot};
use screen::{Event, Screen};
use view::Room;

/// How often the service is asked.
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Top {
    /// Address of the service: listen of [telemetry]
    #[arg(default_value = "http://127.0.0.1:9464")]
    address: String,
    /// Print one table and end
    #[arg(long)]
    once: bool,
}

impl Top {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("starting to poll the service")?;
        let done = runtime.block_on(self.watch(context));
        // A thread may still wait for a key; nobody waits for it.
        runtime.shutdown_background();
        done.map(|()| Exit::Done)
    }

    async fn watch(self, context: &Context) -> anyhow::Result<()> {
        let client = Client::new(&self.address)?;
        let format = match context.global.format {
            Some(format @ (Format::Table | Format::Ndjson | Format::Json)) => format,
            Some(_) => bail!("top prints table, ndjson or json; choose one with --format"),
            None if context.terminal.stdout_is_terminal || self.once => Format::Table,
            None => Format::Ndjson,
        };
        let live = format == Format::Table && context.terminal.stdout_is_terminal && !self.once;
        let first = client.snapshot(None).await?;
        if live {
            return live_view(&client, first, context).await;
        }
        // Rates need two looks.
        tokio::time::sleep(PERIOD).await;
        let snapshot = client.snapshot(Some(&first)).await?;
        let mut out = stdout();
        if format == Format::Table {
            let style = context.terminal.stdout;
            for line in
                view::frame(&snapshot, client.address(), None, Room { width: style.width, height: None })
            {
                writeln!(out, "{}", line.render(style, style.width))?;
            }
        } else {
            serde_json::to_writer(&mut out, &snapshot)?;
            writeln!(out)?;
        }
        Ok(out.flush()?)
    }
}

/// Draws until somebody has seen enough. A service that goes away is waited for.
async fn live_view(client: &Client, first: Snapshot, context: &Context) -> anyhow::Result<()> {
    let mut screen = Screen::open(context.terminal.stdout).context("taking over the terminal")?;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, and what it would show is here already.
    ticks.tick().await;
    let mut last = first;
    let mut lost = None;
    loop {
        screen.draw(|room| view::frame(&last, client.address(), lost.as_deref(), room))?;
        tokio::select! {
            event = screen.event() => match event {
                Event::Leave => return Ok(()),
                Event::Redraw => {}
            },
            _ = ticks.tick() => match client.snapshot(Some(&last)).await {
                Ok(snapshot) => (last, lost) = (snapshot, None),
                Err(error) => lost = Some(format!("{error:#}")),
            },
        }
    }
}
