//! The template of an alert's summary: text with `{column}` in it, `{{` and `}}` for braces.

/// A parsed template, borrowed from its text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Literal(&'a str),
    Column(&'a str),
}

impl<'a> Summary<'a> {
    /// Parses a template. The error says what to do, in the style of a diagnostic.
    pub fn parse(template: &'a str) -> Result<Summary<'a>, String> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            parts.push(Part::Literal(before));
            if brace.starts_with("{{") || brace.starts_with("}}") {
                let (first, behind) = brace.split_at(1);
                parts.push(Part::Literal(first));
                rest = &behind[1..];
            } else if let Some(behind) = brace.strip_prefix('{') {
                let (name, behind) = behind.split_once('}').ok_or_else(|| {
                    "summary has \"{\" without \"}\"; close it, or write \"{{\" for a brace".to_string()
                })?;
                if !is_column_name(name) {
                    return Err(format!(
                        "summary has {{{name}}}, which is no column name; write a column of the SELECT, such as {{username}}"
                    ));
                }
                parts.push(Part::Column(name));
                rest = behind;
            } else {
                return Err("summary has \"}\" without \"{\"; open it, or write \"}}\" for a brace".into());
            }
        }
        parts.push(Part::Literal(rest));
        Ok(Summary { parts })
    }

    /// The columns it names, in order, each as often as it stands there.
    pub fn columns(&self) -> impl Iterator<Item = &'a str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Column(name) => Some(*name),
        })
    }

    /// Fills it in: `write` appends the value of the column it is given.
    pub fn render(&self, mut write: impl FnMut(&str, &mut String)) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Column(name) => write(name, &mut out),
            }
        }
        out
    }
}

fn is_column_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && characters.all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_columns_and_escaped_braces() {
        let summary = Summary::parse("{username} read {n} of {{all}} in {username}").unwrap_or_default();
        assert_eq!(summary.columns().collect::<Vec<_>>(), ["username", "n", "username"]);
        let text = summary.render(|name, out| out.push_str(&name.to_uppercase()));
        assert_eq!(text, "USERNAME read N of {all} in USERNAME");
        assert_eq!(Summary::parse("plain").map(|s| s.render(|_, _| ())), Ok("plain".into()));
    }

    #[test]
    fn refuses_loose_braces_and_odd_names() {
        for (template, part) in [
            ("{user", "\"{\" without \"}\""),
            ("user}", "\"}\" without \"{\""),
            ("{}", "{}, which is no column name"),
            ("{user name}", "{user name}, which is no column name"),
            ("{1st}", "{1st}, which"),
        ] {
            let error = Summary::parse(template).err().unwrap_or_default();
            assert!(error.contains(part), "{template}: {error}");
        }
        assert_eq!(
            Summary::parse("{{{x}").map(|s| s.render(|name, out| out.push_str(name))),
            Ok("{x".into())
        );
    }
}
