//! Structured logs on standard error: JSON where nobody watches, lines for people on a terminal. What
//! is logged is the caller's; never a payload at `info`, never a secret.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Crates that tell every frame and every poll of a token at `info` or `debug`; who wants that names
/// the crate in the filter.
const NOISY: [&str; 12] = [
    "azure_core",
    "azure_core_amqp",
    "azure_identity",
    "azure_messaging_eventhubs",
    "datafusion",
    "fe2o3_amqp",
    "h2",
    "hyper",
    "hyper_util",
    "lettre",
    "object_store",
    "reqwest",
];

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Whether a filter can be used; if not, what to write.
pub fn check(filter: &str) -> Result<(), String> {
    parse(filter).map(|_| ())
}

/// Begins to log. `filter` is a level, or levels by part: `info,aksentry::source=debug`.
pub fn init(filter: &str, json: bool) -> Result<(), String> {
    let filter = parse(filter)?;
    let begun = if json {
        tracing_subscriber::registry().with(filter).with(json_layer(std::io::stderr)).try_init()
    } else {
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
        tracing_subscriber::registry().with(filter).with(layer).try_init()
    };
    begun.map_err(|error| format!("cannot begin to log: {error}"))
}

fn json_layer<S, W>(writer: W) -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer)
}

fn parse(text: &str) -> Result<EnvFilter, String> {
    let error = |part: &str| {
        format!(
            "\"{part}\" is no level; use error, warn, info, debug or trace, or a part of the program with one, such as aksentry::source=debug"
        )
    };
    let mut quiet = NOISY.to_vec();
    let mut default = LevelFilter::ERROR;
    for part in text.split(',').map(str::trim) {
        let (target, level) =
            part.split_once('=').map_or((None, part), |(target, level)| (Some(target), level));
        let level = level.to_lowercase();
        if !LEVELS.contains(&level.as_str()) {
            return Err(error(part));
        }
        match target {
            None => default = level.parse().map_err(|_| error(part))?,
            Some(target) => {
                let target = target.trim();
                if target.is_empty() || !target.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
                {
                    return Err(error(part));
                }
                let name = target.split("::").next().unwrap_or_default();
                quiet.retain(|noisy| *noisy != name);
            }
        }
    }
    let mut directives = text.to_lowercase();
    // Quieter than what was asked for, never louder.
    if default > LevelFilter::WARN {
        quiet.iter().for_each(|name| directives.push_str(&format!(",{name}=warn")));
    }
    EnvFilter::builder().parse(directives).map_err(|_| error(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;
        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn logged(filter: &str) -> String {
        let lines = Lines::default();
        let layers =
            tracing_subscriber::registry().with(parse(filter).unwrap()).with(json_layer(lines.clone()));
        tracing::subscriber::with_default(layers, || {
            tracing::info!(target: "aksentry::source", partition = "3", "opened");
            tracing::debug!(target: "aksentry::source", "frame");
            tracing::info!(target: "azure_core::http", "polled");
            tracing::warn!(target: "azure_core::http", "slow");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_json_with_its_fields() {
        let text = logged("info");
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(line["message"], "opened");
        assert_eq!(line["partition"], "3");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn noisy_crates_are_heard_from_warnings_on() {
        let messages = |filter| {
            let text = logged(filter);
            let line = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
            text.lines().map(|l| line(l)["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(messages("info"), ["opened", "slow"]);
        assert_eq!(messages("debug"), ["opened", "frame", "slow"]);
        assert_eq!(messages("info,azure_core=debug"), ["opened", "polled", "slow"]);
        assert_eq!(messages("error"), [""; 0]);
        assert_eq!(messages("WARN,aksentry::source=debug"), ["opened", "frame", "slow"]);
    }

    #[test]
    fn a_filter_that_would_say_nothing_is_refused() {
        for wrong in ["", "inof", "info,", "aksentry", "aksentry=loud", "=info", "a b=info"] {
            let message = check(wrong).unwrap_err();
            assert!(message.contains("use error, warn, info, debug or trace"), "{wrong}: {message}");
        }
    }
}
