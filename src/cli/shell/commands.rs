//! What begins with a backslash: looking at tables, functions and queries, and how rows are shown.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Flow, Shell};
use crate::alert::Object;
use crate::cli::ask::parse_parameter;
use crate::cli::hunt;
use crate::cli::output::{Cell, Column, Format, Printer, Table, stdout};
use crate::cli::terminal::say;
use crate::detect::functions::catalogue;
use crate::event::schema::TABLES;
use crate::rules::closest;

/// Every command with its arguments and what it does.
pub(super) const COMMANDS: &[(&str, &str, &str)] = &[
    ("d", "[TABLE]", "the tables, or the columns of one"),
    ("df", "[TEXT]", "the functions; with TEXT, those whose name holds it"),
    ("l", "", "the saved queries"),
    ("queries", "", "the same"),
    ("show", "NAME", "a saved query: what it is about, its parameters, its SQL"),
    ("run", "NAME [PARAMETER=VALUE…]", "run a saved query, a detection or a file of SQL"),
    ("o", "[FILE]", "write the rows of the next query to FILE (.parquet, .csv, .json, .ndjson)"),
    ("format", "[FORMAT]", "table, ndjson, json or csv"),
    ("x", "", "each column of a row on a line of its own, or back"),
    ("wide", "", "everything of a row, however wide, or back"),
    ("timing", "", "whether it is told how long a query took"),
    ("help", "", "this"),
    ("q", "", "leave (Ctrl-D does, too)"),
];

impl Shell<'_> {
    /// Runs a command, given without its backslash.
    pub(super) fn command(&mut self, text: &str) -> anyhow::Result<Flow> {
        let words = words(text)?;
        let mut words = words.iter().map(String::as_str);
        let name = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        let toggled = |on: bool| if on { "on" } else { "off" };
        match (name, rest.as_slice()) {
            ("d" | "dt", []) => self.tables()?,
            ("d", [table]) => self.columns(table.trim_end_matches(';'))?,
            ("df", []) => self.functions("")?,
            ("df", [text]) => self.functions(text)?,
            ("l" | "queries", []) => hunt::print_list(&self.desk, self.format, self.context)?,
            ("show", [name]) => self.show(name)?,
            ("run", [name, parameters @ ..]) => {
                let given = parameters.iter().map(|text| parse_parameter(text).map_err(anyhow::Error::msg));
                let given = given.collect::<anyhow::Result<Vec<_>>>()?;
                let question = self.desk.question(name)?;
                return self.ask(&question, &given);
            }
            ("o", []) => self.output = None,
            ("o", [file]) => self.output = Some(PathBuf::from(file)),
            ("format", []) => say(&format!("format is {}", shown(self.format))),
            ("format", [format]) => {
                self.format = match Format::from_str(format, true) {
                    Ok(Format::None) | Err(_) => {
                        bail!("no format \"{format}\"; there are table, ndjson, json and csv")
                    }
                    Ok(format) => format,
                }
            }
            ("x", []) => {
                self.expanded = !self.expanded;
                say(&format!("one column a line is {}", toggled(self.expanded)));
            }
            ("wide", []) => {
                self.wide = !self.wide;
                say(&format!("wide tables are {}", toggled(self.wide)));
            }
            ("timing", []) => {
                self.timing = !self.timing;
                say(&format!("timing is {}", toggled(self.timing)));
            }
            ("help" | "h" | "?", []) => help()?,
            ("q" | "quit" | "exit", []) => return Ok(Flow::Leave),
            (name, _) => match COMMANDS.iter().find(|(known, ..)| *known == name) {
                Some((name, arguments, does)) => bail!("\\{name} {arguments}: {does}"),
                None => match closest(name, COMMANDS.iter().map(|(known, ..)| *known)) {
                    Some(meant) => bail!("no command \\{name}; did you mean \\{meant}?"),
                    None => bail!("no command \\{name}; \\help shows all"),
                },
            },
        }
        Ok(Flow::On)
    }

    fn print(&self, columns: Vec<Column>, rows: Vec<Vec<(&str, Value)>>) -> anyhow::Result<()> {
        let fields = rows.first().map(|row| row.iter().map(|(name, _)| (*name).to_string()).collect());
        let table = Table::new(columns, hunt::style(self.context, self.format, self.wide));
        let mut printer = Printer::new(stdout(), self.format, table, fields.unwrap_or_default());
        for row in rows {
            let cells = || row.iter().map(|(_, v)| Cell::new(crate::cli::output::text(v))).collect();
            let item: Object = row.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect();
            printer.item(&item, cells).context("writing to standard output")?;
        }
        printer.finish().context("writing to standard output")
    }

    fn tables(&self) -> anyhow::Result<()> {
        let about = |name: &str| match name {
            "audit" => "one row per audit event of the API server",
            _ => "one row per record of every other log category",
        };
        let rows = TABLES.iter().map(|(name, columns)| {
            vec![("table", json!(name)), ("columns", json!(columns.len())), ("rows", json!(about(name)))]
        });
        let columns = vec![Column::text("table"), Column::number("columns"), Column::prose("rows")];
        self.print(columns, rows.collect())
    }

    fn columns(&self, table: &str) -> anyhow::Result<()> {
        let Some((_, columns)) = TABLES.iter().find(|(name, _)| name.eq_ignore_ascii_case(table)) else {
            match closest(table, TABLES.iter().map(|(name, _)| *name)) {
                Some(meant) => bail!("no table \"{table}\"; did you mean \"{meant}\"?"),
                None => bail!("no table \"{table}\"; there are audit and control_plane"),
            }
        };
        let rows = columns.iter().map(|column| {
            vec![
                ("column", json!(column.name)),
                ("type", json!(column.kind.name())),
                ("meaning", json!(column.meaning)),
            ]
        });
        let columns = vec![Column::text("column"), Column::text("type"), Column::prose("meaning")];
        self.print(columns, rows.collect())
    }

    fn functions(&self, text: &str) -> anyhow::Result<()> {
        let text = text.to_lowercase();
        let ours = catalogue().iter().filter(|function| function.name.contains(&text));
        let mut rows: Vec<Vec<(&str, Value)>> = ours
            .map(|f| {
                vec![("call", json!(f.signature)), ("returns", json!(f.returns)), ("what", json!(f.doc))]
            })
            .collect();
        // Of SQL's own functions there are hundreds.
        let names = self.asking.session.functions();
        let sql = names.iter().filter(|name| !catalogue().iter().any(|ours| ours.name == name.as_str()));
        if text.is_empty() {
            let count = sql.count();
            let columns = vec![Column::text("call"), Column::text("returns"), Column::prose("what")];
            self.print(columns, rows)?;
            if !self.context.terminal.quiet {
                say(&format!("and {count} functions of SQL; \\df TEXT finds them by name"));
            }
            return Ok(());
        }
        rows.extend(sql.filter(|name| name.contains(&text)).map(|name| {
            vec![("call", json!(format!("{name}(…)"))), ("returns", json!("")), ("what", json!("of SQL"))]
        }));
        if rows.is_empty() {
            bail!("no function with \"{text}\" in its name; \\df shows all");
        }
        let columns = vec![Column::text("call"), Column::text("returns"), Column::prose("what")];
        self.print(columns, rows)
    }

    fn show(&self, name: &str) -> anyhow::Result<()> {
        self.desk.question(name)?;
        let Some(query) = self.desk.queries.get(name) else {
            bail!("{name} is no saved query; \\l shows them");
        };
        let mut out = stdout();
        out.write_all(hunt::page(query, self.context.terminal.stdout).as_bytes())
            .and_then(|()| out.flush())
            .context("writing to standard output")
    }
}

fn shown(format: Format) -> String {
    format.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
}

fn help() -> anyhow::Result<()> {
    let mut out = stdout();
    let mut print = || -> std::io::Result<()> {
        writeln!(out, "SQL ends with a semicolon and may have several lines; Ctrl-C stops a query.\n")?;
        for (name, arguments, does) in COMMANDS {
            writeln!(out, "  {:<36}{does}", format!("\\{name} {arguments}"))?;
        }
        out.flush()
    };
    print().context("writing to standard output")
}

/// Words split at blanks; single quotes keep blanks together.
fn words(text: &str) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut any) = (String::new(), false, false);
    for c in text.chars() {
        match c {
            '\'' => (quoted, any) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if quoted {
        bail!("a quote is not closed");
    }
    if any {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_a_word_together() {
        assert_eq!(words("run x a='b c' d=").unwrap(), ["run", "x", "a=b c", "d="]);
        assert_eq!(words("  ").unwrap(), [""; 0]);
        assert!(words("o 'x").is_err());
    }
}
