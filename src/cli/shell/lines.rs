//! Lines into statements: a statement ends with a semicolon outside of quotes and comments, a command
//! with its line.

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// SQL without its semicolon, and the line it begins on.
    Sql { text: String, line: usize },
    /// `\d audit`
    Command(String),
}

/// Where in a statement a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Plain,
    Quoted(char),
    LineComment,
    BlockComment,
}

/// Lines gathered so far.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    state: State,
    /// Lines taken, and the one that `text` begins on.
    taken: usize,
    begun: usize,
}

impl Lines {
    /// Takes a line; gives what is complete with it.
    pub fn push(&mut self, line: &str) -> Vec<Entry> {
        self.taken += 1;
        let mut entries = Vec::new();
        if self.is_blank() {
            self.text.clear();
            if let Some(command) = line.trim().strip_prefix('\\') {
                entries.push(Entry::Command(command.trim().to_string()));
                return entries;
            }
        }
        if self.text.is_empty() {
            self.begun = self.taken;
        }
        let mut before = '\0';
        for c in line.chars().chain(['\n']) {
            let ends = self.state == State::Plain && c == ';';
            self.state = next(self.state, before, c);
            // What ends a comment or begins one cannot do so twice.
            before = if self.state == State::Plain && before == '*' && c == '/' { '\0' } else { c };
            if !ends {
                self.text.push(c);
                continue;
            }
            entries.extend(self.take());
            self.begun = self.taken;
        }
        entries
    }

    /// What is left when no more lines come: a last statement may do without its semicolon.
    pub fn finish(&mut self) -> Option<Entry> {
        self.state = State::Plain;
        self.take()
    }

    /// Whether nothing was begun.
    pub fn is_blank(&self) -> bool {
        self.state == State::Plain && self.text.trim().is_empty()
    }

    fn take(&mut self) -> Option<Entry> {
        let text = std::mem::take(&mut self.text);
        let blank = text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with("--"));
        (!blank).then(|| Entry::Sql { text: text.trim_end().to_string(), line: self.begun })
    }
}

fn next(state: State, before: char, c: char) -> State {
    match (state, before, c) {
        (State::Plain, _, '\'' | '"') => State::Quoted(c),
        (State::Plain, '-', '-') => State::LineComment,
        (State::Plain, '/', '*') => State::BlockComment,
        (State::Quoted(quote), _, c) if c == quote => State::Plain,
        (State::LineComment, _, '\n') => State::Plain,
        (State::BlockComment, '*', '/') => State::Plain,
        (state, ..) => state,
    }
}

/// Whether Enter ends the input: it is a command, blank, or its last statement is complete.
pub(super) fn is_complete(text: &str) -> bool {
    let mut lines = Lines::default();
    for line in text.split('\n') {
        if let [Entry::Command(_), ..] = lines.push(line).as_slice() {
            return true;
        }
    }
    lines.is_blank() || matches!(text.trim(), "exit" | "quit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<Entry> {
        let mut lines = Lines::default();
        let mut entries: Vec<Entry> = text.lines().flat_map(|line| lines.push(line)).collect();
        entries.extend(lines.finish());
        entries
    }

    fn sql(text: &str, line: usize) -> Entry {
        Entry::Sql { text: text.into(), line }
    }

    #[test]
    fn statements_and_commands() {
        assert_eq!(
            split(
                "SELECT 1; SELECT\n2;\n\\d audit \n\n-- a comment\nSELECT ';' AS \"a;b\" -- c;\n, 2 /* ;\n; */;\nSELECT 3"
            ),
            [
                sql("SELECT 1", 1),
                sql(" SELECT\n2", 1),
                Entry::Command("d audit".into()),
                sql("-- a comment\nSELECT ';' AS \"a;b\" -- c;\n, 2 /* ;\n; */", 5),
                sql("SELECT 3", 9),
            ]
        );
        assert_eq!(split(";;\n -- nothing\n;\n"), []);
        assert_eq!(split("SELECT 'it''s;'"), [sql("SELECT 'it''s;'", 1)]);
        assert_eq!(split("SELECT 1 -\n\\d"), [sql("SELECT 1 -\n\\d", 1)]);
    }

    #[test]
    fn enter_ends_what_is_complete() {
        for (text, complete) in [
            ("", true),
            ("SELECT 1", false),
            ("SELECT 1;", true),
            ("SELECT ';", false),
            ("\\d", true),
            ("SELECT 1; SELECT", false),
            ("quit", true),
            ("/* a */", false),
        ] {
            assert_eq!(is_complete(text), complete, "{text}");
        }
    }
}
