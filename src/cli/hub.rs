//! `aksentry hub`: the development hub as a command, filled from files.

use std::io::Write;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::time::Instant;

use super::output::{Format, stdout};
use super::terminal::say;
use super::{Context, Exit};
use crate::hub;
use crate::source::files::{Inputs, Reader, Sizes};

/// Room for what clients send on top of what is loaded.
const MESSAGE_OVERHEAD: usize = 2048;
/// How often messages go out with `--rate`.
const TICK: Duration = Duration::from_millis(10);

#[derive(Debug, Args)]
pub(super) struct Hub {
    /// Port on 127.0.0.1; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = hub::DEFAULT_PORT)]
    port: u16,
    /// Partitions of the hub
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(hub::MOST_PARTITIONS)))]
    partitions: u16,
    /// Files or folders of messages, one JSON value each, put into the partitions in turn
    #[arg(long, value_name = "PATH", num_args = 1..)]
    load: Vec<String>,
    /// The only name of the hub [default: it answers to every name]
    #[arg(long, value_name = "NAME")]
    hub: Option<String>,
    /// Send the loaded messages at so many a second, over and over, instead of all at once
    #[arg(long, value_name = "N", requires = "load", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
}

impl Hub {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let messages = self.messages()?;
        if messages.is_empty() && !self.load.is_empty() {
            say("aksentry hub: the files to load hold no message");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.context("starting the hub's threads")?.block_on(self.serve(messages, context))
    }

    fn messages(&self) -> anyhow::Result<Vec<Bytes>> {
        if self.load.is_empty() {
            return Ok(Vec::new());
        }
        let inputs = Inputs::resolve(&self.load)?;
        inputs.warnings.iter().for_each(|warning| say(warning));
        let mut messages = Vec::new();
        for item in Reader::new(&inputs, Sizes::default()) {
            match item {
                Ok(chunk) => chunk.raw.bodies.iter().for_each(|body| split(body, &mut messages)),
                Err(problem) => {
                    let path = inputs.files.get(problem.file).map(|file| file.path.display().to_string());
                    say(&format!("{}: {}", path.unwrap_or_default(), problem.status));
                }
            }
        }
        Ok(messages)
    }

    async fn serve(self, messages: Vec<Bytes>, context: &Context) -> anyhow::Result<Exit> {
        let loaded: usize = messages.iter().map(|body| body.len() + MESSAGE_OVERHEAD).sum();
        let defaults = hub::Options::default();
        let retain_bytes = defaults.retain_bytes + if self.rate.is_none() { loaded } else { 0 };
        let hub = hub::Hub::start(hub::Options {
            port: self.port,
            partitions: self.partitions,
            hub: self.hub.clone(),
            retain_bytes,
            ..defaults
        });
        let hub = hub.await?;
        if self.rate.is_none() {
            for body in &messages {
                hub.publish(None, body.clone());
            }
        }
        self.announce(&hub, messages.len(), context)?;
        let running = async {
            match self.rate {
                Some(rate) if !messages.is_empty() => send(&hub, &messages, rate).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = running => {}
            ended = ended() => ended.context("waiting for Ctrl-C")?,
        }
        hub.stop().await;
        Ok(Exit::Done)
    }

    fn announce(&self, hub: &hub::Hub, messages: usize, context: &Context) -> anyhow::Result<()> {
        let (endpoint, partitions) = (hub.endpoint(), hub.partitions());
        let secret = hub.connection_string();
        if let Some(Format::Json | Format::Ndjson) = context.global.format {
            let ready = json!({
                "address": hub.address().to_string(),
                "endpoint": endpoint,
                "connection_string": secret.expose(),
                "partitions": partitions,
                "messages": messages,
            });
            let mut out = stdout();
            writeln!(out, "{ready}").and_then(|()| out.flush()).context("writing to standard output")?;
        }
        if context.terminal.quiet {
            return Ok(());
        }
        let name = self.hub.as_deref().unwrap_or("aks-audit");
        let names = if self.hub.is_some() { "this name only" } else { "or any other name" };
        let how =
            self.rate.map_or_else(|| "loaded".to_owned(), |rate| format!("repeated at {rate} a second"));
        say(&format!(
            "Hub ready at {endpoint}: {partitions} partitions, {messages} messages {how}. For development and \
             tests only; memory only.\n\n\
             EVENTHUBS_CONNECTION_STRING='{}'\n\n\
             [source.eventhubs]\n\
             namespace = \"localhost\"\n\
             hub = \"{name}\"    # {names}\n\
             endpoint = \"{endpoint}\"\n\
             auth = {{ kind = \"connection-string\", env = \"EVENTHUBS_CONNECTION_STRING\" }}\n\n\
             Ctrl-C ends it.",
            secret.expose()
        ));
        Ok(())
    }
}

/// The messages of a piece of a file: a JSON value that runs over lines is one, else each line is.
fn split(body: &[u8], messages: &mut Vec<Bytes>) {
    let mut add = |text: &[u8]| match text.trim_ascii() {
        [] => {}
        text => messages.push(Bytes::copy_from_slice(text)),
    };
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => add(body),
        Err(_) => body.split(|byte| *byte == b'\n').for_each(add),
    }
}

/// Sends the messages over and over.
async fn send(hub: &hub::Hub, messages: &[Bytes], rate: u32) {
    let start = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    let mut sent = 0_u64;
    let mut next = messages.iter().cycle();
    loop {
        tick.tick().await;
        let due = start.elapsed().as_millis() * u128::from(rate) / 1000;
        while u128::from(sent) < due {
            if let Some(body) = next.next() {
                hub.publish(None, body.clone());
            }
            sent += 1;
        }
    }
}

/// Waits for Ctrl-C, or for SIGTERM where there is such a thing.
async fn ended() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            ended = tokio::signal::ctrl_c() => ended,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_a_line_or_a_value() {
        let split = |text: &str| {
            let mut messages = Vec::new();
            split(text.as_bytes(), &mut messages);
            messages
        };
        assert_eq!(split("{\"a\":1}\n\n{\"a\":2}\r\nnoise\n"), ["{\"a\":1}", "{\"a\":2}", "noise"]);
        assert_eq!(split("{\n  \"a\":\n1 }\n"), ["{\n  \"a\":\n1 }"]);
        assert!(split(" \n").is_empty());
    }
}
