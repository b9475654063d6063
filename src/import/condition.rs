//! The condition of a rule: its words, and the expression they make of the rule's searches.

use super::expr::Expr;
use super::pattern::Pattern;
use crate::rules::closest;

/// The searches of a rule by name, in order.
pub(super) type Searches = [(String, Expr)];

/// Brackets inside each other; no person writes more.
const MAX_DEPTH: usize = 64;
/// Comparisons of all searches named, each as often as it is named.
const MAX_TESTS: usize = 10_000;

/// Puts searches together. `used` gets the names of those that took part.
pub(super) fn parse(text: &str, searches: &Searches, used: &mut Vec<String>) -> Result<Expr, String> {
    let words = words(text);
    if let Some(at) = words.iter().position(|word| word == "|") {
        let rest = words.get(at + 1..).unwrap_or_default().join(" ");
        return Err(format!(
            "\"| {rest}\" is an aggregation of the first Sigma; write a correlation rule instead"
        ));
    }
    let mut parser = Parser { words, at: 0, depth: 0, tests: 0, searches, used };
    let found = parser.or()?;
    match parser.words.get(parser.at) {
        None => Ok(found),
        Some(word) => Err(format!("\"{word}\" where \"and\", \"or\" or the end should be")),
    }
}

fn words(text: &str) -> Vec<String> {
    let spaced: String = text
        .chars()
        .flat_map(|c| match c {
            '(' | ')' | '|' => vec![' ', c, ' '],
            c => vec![c],
        })
        .collect();
    spaced.split_whitespace().map(str::to_owned).collect()
}

struct Parser<'a> {
    words: Vec<String>,
    at: usize,
    depth: usize,
    /// Comparisons so far.
    tests: usize,
    searches: &'a Searches,
    used: &'a mut Vec<String>,
}

impl Parser<'_> {
    fn is(&self, word: &str) -> bool {
        self.words.get(self.at).is_some_and(|found| found.eq_ignore_ascii_case(word))
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<Expr, String> {
        let mut items = vec![self.and()?];
        while self.take("or") {
            items.push(self.and()?);
        }
        Ok(Expr::any(items))
    }

    fn and(&mut self) -> Result<Expr, String> {
        let mut items = vec![self.not()?];
        while self.take("and") {
            items.push(self.not()?);
        }
        Ok(Expr::all(items))
    }

    fn not(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} brackets inside each other"));
        }
        let found = if self.take("not") { self.not().map(Expr::not) } else { self.operand() };
        self.depth -= 1;
        found
    }

    fn operand(&mut self) -> Result<Expr, String> {
        let Some(word) = self.words.get(self.at).cloned() else {
            return Err("the condition ends where the name of a search should be".into());
        };
        self.at += 1;
        if word == "(" {
            let inner = self.or()?;
            return match self.take(")") {
                true => Ok(inner),
                false => Err("a bracket is not closed".into()),
            };
        }
        if self.is("of") {
            self.at += 1;
            let Some(of) = self.words.get(self.at).cloned() else {
                return Err(format!("\"{word} of\" what? write them, or a pattern such as selection*"));
            };
            self.at += 1;
            return self.of(&word, &of);
        }
        if matches!(word.to_lowercase().as_str(), "and" | "or" | "not" | ")" | "near" | "them") {
            return Err(format!("\"{word}\" where the name of a search should be"));
        }
        self.search(&word)
    }

    fn search(&mut self, name: &str) -> Result<Expr, String> {
        let Some((_, expr)) = self.searches.iter().find(|(known, _)| known == name) else {
            let hint = closest(name, self.searches.iter().map(|(known, _)| known.as_str()));
            let hint = hint.map(|found| format!("; did you mean \"{found}\"?")).unwrap_or_default();
            return Err(format!("no search \"{name}\" in the detection{hint}"));
        };
        self.used.push(name.to_owned());
        self.count(expr)?;
        Ok(expr.clone())
    }

    fn count(&mut self, expr: &Expr) -> Result<(), String> {
        self.tests += expr.size();
        match self.tests > MAX_TESTS {
            true => Err(format!("more than {MAX_TESTS} comparisons in all; name each search once")),
            false => Ok(()),
        }
    }

    /// `1 of them`, `all of selection*`.
    fn of(&mut self, count: &str, of: &str) -> Result<Expr, String> {
        let them = of.eq_ignore_ascii_case("them");
        let pattern = Pattern::parse(of);
        let takes = |name: &str| match them {
            true => !name.starts_with('_'),
            false => matches(&pattern, name),
        };
        let found: Vec<_> = self.searches.iter().filter(|(name, _)| takes(name)).collect();
        if found.is_empty() {
            return Err(format!("\"{count} of {of}\" finds no search in the detection"));
        }
        let mut items = Vec::new();
        for (name, expr) in found {
            self.count(expr)?;
            self.used.push(name.clone());
            items.push(expr.clone());
        }
        match count.to_lowercase().as_str() {
            "all" => Ok(Expr::all(items)),
            "any" | "1" => Ok(Expr::any(items)),
            other => match other.parse::<usize>() {
                Ok(wanted) if (2..=items.len()).contains(&wanted) => Ok(Expr::AtLeast(wanted, items)),
                Ok(wanted) => Err(format!("\"{wanted} of {of}\", and there are {} of them", items.len())),
                Err(_) => Err(format!("\"{other} of\" counts nothing; write 1, all or a number")),
            },
        }
    }
}

/// Whether a name fits a pattern; names of searches are cased.
fn matches(pattern: &Pattern, name: &str) -> bool {
    regex_automata::meta::Regex::new(&pattern.regex(true)).is_ok_and(|regex| regex.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(condition: &str) -> Result<String, String> {
        let names = ["a", "b", "selection_x", "selection_y", "_hidden"];
        let searches: Vec<_> = names.iter().map(|name| ((*name).to_owned(), Expr::sure(*name))).collect();
        parse(condition, &searches, &mut Vec::new()).map(|expr| expr.filter(0).replace('\n', " "))
    }

    #[test]
    fn conditions() {
        for (condition, expected) in [
            ("a", "a"),
            ("a or b and not selection_x", "a OR (b AND NOT (selection_x))"),
            ("(a OR b) AND selection_x", "(a OR b) AND selection_x"),
            ("not (a or b)", "NOT (a OR b)"),
            ("all of them", "a AND b AND selection_x AND selection_y"),
            ("1 of selection_*", "selection_x OR selection_y"),
            ("a and not 1 of sel*", "a AND NOT (selection_x OR selection_y)"),
            ("all of *_y", "selection_y"),
            ("1 of _*", "_hidden"),
        ] {
            assert_eq!(sql(condition).as_deref(), Ok(expected), "{condition}");
        }
        assert!(sql("2 of selection*").is_ok_and(|sql| sql.ends_with(">= 2")));
    }

    #[test]
    fn refused() {
        let deep = "not ".repeat(100) + "a";
        for (condition, message) in [
            ("", "ends where"),
            ("selectoin_x", "did you mean \"selection_x\"?"),
            ("a b", "where \"and\""),
            ("(a", "not closed"),
            ("a)", "\")\" where"),
            ("a or", "ends where"),
            ("1 of filter*", "finds no search"),
            ("5 of selection*", "there are 2"),
            ("some of them", "counts nothing"),
            ("a | count() by user > 5", "correlation"),
            (deep.as_str(), "brackets"),
        ] {
            assert!(sql(condition).is_err_and(|said| said.contains(message)), "{condition}");
        }
    }
}
