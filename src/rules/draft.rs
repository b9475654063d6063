//! From a question to a rule: what a hunt's file holds already, and a header with blanks to fill in.

use super::fence::Fence;

/// A file of SQL taken apart, whatever its header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// `detection`, `query`, or nothing where there is no header.
    pub kind: Option<&'static str>,
    pub title: Option<String>,
    pub description: Option<String>,
    /// The file with its header's lines blanked, so that positions stay those of the file.
    pub sql: String,
}

impl Parts {
    /// Takes a file's text apart. A header that is not closed counts as none.
    pub fn of(text: &str) -> Parts {
        for kind in ["detection", "query"] {
            if let Ok(fence) = Fence::split(text, kind) {
                let table: toml::Table = fence.toml.parse().unwrap_or_default();
                let value = |key: &str| table.get(key).and_then(|v| v.as_str()).map(|v| v.trim().to_owned());
                let (title, description) = (value("title"), value("description"));
                return Parts { kind: Some(kind), title, description, sql: fence.sql };
            }
        }
        Parts { sql: text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(), ..Parts::default() }
    }
}

/// What the SQL lets the header say.
#[derive(Debug, Clone, Default)]
pub struct Hints<'a> {
    /// Columns for `key`.
    pub key: Vec<&'a str>,
    /// Columns for the summary.
    pub named: Vec<&'a str>,
    /// Whether it gathers rows, so that it needs a `window`.
    pub gathers: bool,
    /// Whether it reads `control_plane`.
    pub control_plane: bool,
}

/// A header for a rule, with a remark behind each value that somebody has to decide.
pub fn header(parts: &Parts, hints: &Hints<'_>) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |names: &[&str]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    let mut lines = vec!["-- /// detection".to_owned()];
    let mut line = |text: String, remark: &str| {
        lines.push(if remark.is_empty() {
            format!("-- {text}")
        } else {
            format!("-- {text:<40} # {remark}")
        });
    };
    match &parts.title {
        Some(title) => line(format!("title = {}", quoted(title)), "a question before; say what happened"),
        None => line("title = \"…\"".into(), "one line, what happened"),
    }
    line("severity = \"medium\"".into(), "critical, high, medium, low or informational");
    line("status = \"draft\"".into(), "stable when its cases pass and the backtest is quiet");
    line(format!("key = [{}]", list(&hints.key)), "columns of the SELECT that say whose alert it is");
    if hints.gathers {
        line("window = \"10m\"".into(), "how much of the log it gathers over");
    }
    line("suppress = \"1h\"".into(), "one alert a key and interval; remove it for one alert a row");
    if hints.control_plane {
        line("categories = [\"guard\"]".into(), "the log categories that carry it");
    } else {
        line("categories = [\"kube-audit\"]".into(), "remove it unless it reads get, list or watch");
    }
    line("attack = []".into(), "ATT&CK techniques, such as \"T1552.007\"");
    let named: Vec<String> = hints.named.iter().map(|name| format!("{{{name}}}")).collect();
    line(format!("summary = {}", quoted(&format!("{} …", named.join(" ")))), "one sentence with columns");
    let description =
        parts.description.as_deref().unwrap_or("…").replace("\"\"\"", "'''").replace('\\', "\\\\");
    // Behind the quotes a remark would be part of the text.
    lines.push("-- # why it matters, what happens without a body, what to do".into());
    lines.push("-- description = \"\"\"".into());
    lines.extend(description.lines().map(|text| format!("-- {text}").trim_end().to_owned()));
    lines.push("-- \"\"\"".into());
    lines.push(format!("-- {:<40} # harmless activity that looks the same", "false_positives = []"));
    lines.push(format!("-- {:<40} # queries to run next", "follow_up = []"));
    lines.push("-- ///".into());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_apart() {
        let query = "-- /// query\n-- title = \"Who?\"\n-- description = \"\"\"\n-- Two\n-- lines.\n-- \"\"\"\n-- ///\nSELECT 1";
        let parts = Parts::of(query);
        assert_eq!((parts.kind, parts.title.as_deref()), (Some("query"), Some("Who?")));
        assert_eq!(parts.description.as_deref(), Some("Two\nlines."));
        assert_eq!(parts.sql.lines().nth(7), Some("SELECT 1"));
        assert_eq!(Parts::of("SELECT 1"), Parts { sql: "SELECT 1".into(), ..Parts::default() });
        assert_eq!(Parts::of("-- /// detection\n-- title = \n-- ///\nSELECT 1").kind, Some("detection"));
    }

    #[test]
    fn the_header_can_be_read() {
        let parts = Parts {
            title: Some("Who \"did\"\\ it?".into()),
            description: Some("a \\ \"\"\" b".into()),
            ..Parts::default()
        };
        let hints = Hints {
            key: vec!["cluster", "username"],
            named: vec!["username"],
            gathers: true,
            ..Hints::default()
        };
        let text = header(&parts, &hints) + "SELECT cluster, username, count(*) FROM audit GROUP BY 1, 2\n";
        let rule = super::super::parse_detection(std::path::Path::new("x"), "impact", "x", &text);
        let rule = rule.unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        assert_eq!(rule.title, "Who \"did\"\\ it?");
        assert_eq!(rule.key, ["cluster", "username"]);
        assert!(rule.window.is_some());
    }
}
