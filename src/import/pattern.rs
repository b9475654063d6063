//! Sigma's wildcards: `*`, `?`, and the backslash before them; as `LIKE` patterns and as regular
//! expressions.

/// A value with its wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `*`: any text, none too.
    Any,
    /// `?`: one character.
    One,
}

impl Pattern {
    /// Reads a value. A backslash makes a wildcard or a backslash behind it plain, and stands for itself
    /// before anything else.
    pub fn parse(value: &str) -> Pattern {
        let mut pattern = Pattern { parts: Vec::new() };
        let mut chars = value.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => {
                    let plain = chars.next_if(|next| matches!(next, '*' | '?' | '\\')).unwrap_or('\\');
                    pattern.text(plain);
                }
                '*' => pattern.any(),
                '?' => pattern.parts.push(Part::One),
                c => pattern.text(c),
            }
        }
        pattern
    }

    /// Exactly this text.
    pub(super) fn exact(text: &str) -> Pattern {
        let mut pattern = Pattern { parts: Vec::new() };
        text.chars().for_each(|c| pattern.text(c));
        pattern
    }

    fn text(&mut self, c: char) {
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text.push(c),
            _ => self.parts.push(Part::Text(c.into())),
        }
    }

    fn any(&mut self) {
        if self.parts.last() != Some(&Part::Any) {
            self.parts.push(Part::Any);
        }
    }

    /// With anything before it, behind it, or both.
    pub(super) fn loosen(mut self, before: bool, behind: bool) -> Pattern {
        if before && self.parts.first() != Some(&Part::Any) {
            self.parts.insert(0, Part::Any);
        }
        if behind {
            self.any();
        }
        self
    }

    /// The text, where there is no wildcard.
    pub(super) fn plain(&self) -> Option<String> {
        match self.parts.as_slice() {
            [] => Some(String::new()),
            [Part::Text(text)] => Some(text.clone()),
            _ => None,
        }
    }

    /// Whether any text will do.
    pub(super) fn is_anything(&self) -> bool {
        self.parts == [Part::Any]
    }

    /// Whether a number could be matched by it.
    pub(super) fn fits_a_number(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Text(text) => text.bytes().all(|b| b.is_ascii_digit()),
            Part::Any | Part::One => true,
        })
    }

    /// As a pattern of `LIKE`.
    pub fn like(&self) -> String {
        let mut like = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    for c in text.chars() {
                        if matches!(c, '%' | '_' | '\\') {
                            like.push('\\');
                        }
                        like.push(c);
                    }
                }
                Part::Any => like.push('%'),
                Part::One => like.push('_'),
            }
        }
        like
    }

    /// As a regular expression for the whole of a text.
    pub fn regex(&self, cased: bool) -> String {
        let open_start = self.parts.first() == Some(&Part::Any);
        let open_end = self.parts.last() == Some(&Part::Any);
        let dots = self.inner().iter().any(|part| !matches!(part, Part::Text(_)));
        let (start, end) = (if open_start { "" } else { "^" }, if open_end { "" } else { "$" });
        format!("{}{start}{}{end}", flags(cased, dots), self.anywhere())
    }

    /// As a regular expression for some place inside of a text, without flags.
    pub(super) fn anywhere(&self) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => escaped(text),
            Part::Any => ".*".to_owned(),
            Part::One => ".".to_owned(),
        };
        self.inner().iter().map(part).collect()
    }

    /// The parts without `*` at the start and at the end.
    fn inner(&self) -> &[Part] {
        let parts = self.parts.as_slice();
        let parts = parts.strip_prefix(&[Part::Any]).unwrap_or(parts);
        parts.strip_suffix(&[Part::Any]).unwrap_or(parts)
    }
}

/// Flags before a regular expression; `dots` where a dot stands for any character.
pub(super) fn flags(cased: bool, dots: bool) -> &'static str {
    match (cased, dots) {
        (true, false) => "",
        (true, true) => "(?s)",
        (false, false) => "(?i)",
        (false, true) => "(?is)",
    }
}

/// A text for a regular expression.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        for (value, like, regex) in [
            (r"a*b?c", "a%b_c", "(?is)^a.*b.c$"),
            (r"\*", "*", r"(?i)^\*$"),
            (r"\\*", r"\\%", r"(?i)^\\"),
            (r"\\\*", r"\\*", r"(?i)^\\\*$"),
            (r"C:\x", r"C:\\x", r"(?i)^C:\\x$"),
            (r"a\\b", r"a\\b", r"(?i)^a\\b$"),
            (r"\\\\", r"\\\\", r"(?i)^\\\\$"),
            (r"\\\x", r"\\\\x", r"(?i)^\\\\x$"),
            (r"50%_\", r"50\%\_\\", r"(?i)^50%_\\$"),
            ("**", "%", "(?i)"),
            ("*.exe", "%.exe", r"(?i)\.exe$"),
        ] {
            let pattern = Pattern::parse(value);
            assert_eq!((pattern.like().as_str(), pattern.regex(false).as_str()), (like, regex), "{value}");
        }
    }
}
