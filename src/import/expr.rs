//! Conditions as a tree, and as SQL that reads well.
//!
//! A missing field is null in SQL: a test of it is neither true nor false. Sigma knows only true and
//! false, so a negation says `IS NOT TRUE` wherever null could arise.

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Test(Test),
    /// At least this many of them.
    AtLeast(usize, Vec<Expr>),
}

/// One comparison as SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    pub sql: String,
    /// Whether it may be null.
    pub nullable: bool,
}

/// Beyond this an alternative is written on lines of its own.
const WIDTH: usize = 96;

impl Expr {
    pub fn test(sql: impl Into<String>) -> Expr {
        Expr::Test(Test { sql: sql.into(), nullable: true })
    }

    /// A test that is never null.
    pub fn sure(sql: impl Into<String>) -> Expr {
        Expr::Test(Test { sql: sql.into(), nullable: false })
    }

    /// All of them; one alone stays what it is.
    pub fn all(items: Vec<Expr>) -> Expr {
        join(items, Expr::And, |item| match item {
            Expr::And(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// Any of them.
    pub fn any(items: Vec<Expr>) -> Expr {
        join(items, Expr::Or, |item| match item {
            Expr::Or(inner) => Ok(inner),
            other => Err(other),
        })
    }

    pub fn not(self) -> Expr {
        match self {
            Expr::Not(inner) if !inner.nullable() => *inner,
            other => Expr::Not(Box::new(other)),
        }
    }

    fn nullable(&self) -> bool {
        match self {
            Expr::And(items) | Expr::Or(items) => items.iter().any(Expr::nullable),
            Expr::Not(_) | Expr::AtLeast(..) => false,
            Expr::Test(test) => test.nullable,
        }
    }

    /// The tests that must all hold.
    pub fn conjuncts(&self) -> &[Expr] {
        match self {
            Expr::And(items) => items,
            other => std::slice::from_ref(other),
        }
    }

    /// How many tests it has.
    pub fn size(&self) -> usize {
        match self {
            Expr::And(items) | Expr::Or(items) | Expr::AtLeast(_, items) => {
                items.iter().map(Expr::size).sum()
            }
            Expr::Not(inner) => inner.size(),
            Expr::Test(_) => 1,
        }
    }

    /// As the lines behind `WHERE`, each indented by `indent`.
    pub fn filter(&self, indent: usize) -> String {
        let pad = " ".repeat(indent);
        let lines: Vec<String> = self.conjuncts().iter().map(|item| item.operand(indent)).collect();
        // A single alternative needs no brackets around it.
        match self {
            Expr::Or(items) => {
                let lines: Vec<String> = items.iter().map(|item| item.operand(indent)).collect();
                format!("{pad}{}", lines.join(&format!("\n{pad}OR ")))
            }
            _ => format!("{pad}{}", lines.join(&format!("\n{pad}AND "))),
        }
    }

    /// As one operand of AND, OR or NOT.
    fn operand(&self, indent: usize) -> String {
        let grouped = |items: &[Expr], word: &str| {
            let flat: Vec<String> = items.iter().map(|item| item.operand(indent + 4)).collect();
            let line = format!("({})", flat.join(&format!(" {word} ")));
            if line.len() <= WIDTH && !line.contains('\n') {
                return line;
            }
            let (pad, end) = (" ".repeat(indent + 4), " ".repeat(indent));
            format!("(\n{pad}{}\n{end})", flat.join(&format!("\n{pad}{word} ")))
        };
        match self {
            Expr::And(items) => grouped(items, "AND"),
            Expr::Or(items) => grouped(items, "OR"),
            Expr::Test(test) => test.sql.clone(),
            Expr::Not(inner) => match &**inner {
                Expr::Test(test) if !test.nullable => match test.sql.strip_suffix(" IS NULL") {
                    Some(column) => format!("{column} IS NOT NULL"),
                    None => match test.sql.strip_suffix(" IS NOT NULL") {
                        Some(column) => format!("{column} IS NULL"),
                        None => format!("NOT ({})", test.sql),
                    },
                },
                inner @ (Expr::And(_) | Expr::Or(_)) => match inner.nullable() {
                    true => format!("{} IS NOT TRUE", inner.operand(indent)),
                    false => format!("NOT {}", inner.operand(indent)),
                },
                inner if inner.nullable() => format!("({}) IS NOT TRUE", inner.operand(indent)),
                inner => format!("NOT ({})", inner.operand(indent)),
            },
            Expr::AtLeast(count, items) => {
                let pad = " ".repeat(indent + 4);
                let cases: Vec<String> = items
                    .iter()
                    .map(|item| format!("CASE WHEN {} THEN 1 ELSE 0 END", item.operand(indent + 4)))
                    .collect();
                format!("{} >= {count}", cases.join(&format!("\n{pad}+ ")))
            }
        }
    }
}

fn join(items: Vec<Expr>, make: fn(Vec<Expr>) -> Expr, inside: fn(Expr) -> Result<Vec<Expr>, Expr>) -> Expr {
    let mut flat: Vec<Expr> = Vec::new();
    for item in items {
        let more = inside(item).unwrap_or_else(|other| vec![other]);
        for item in more {
            if !flat.contains(&item) {
                flat.push(item);
            }
        }
    }
    match flat.pop() {
        Some(only) if flat.is_empty() => only,
        Some(last) => {
            flat.push(last);
            make(flat)
        }
        None => make(flat),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql() {
        let (a, b, c) = (Expr::test("a = 1"), Expr::test("b = 2"), Expr::sure("c IS NULL"));
        for (expr, sql) in [
            (
                Expr::all(vec![a.clone(), Expr::any(vec![b.clone(), c.clone()])]),
                "a = 1\nAND (b = 2 OR c IS NULL)",
            ),
            (
                Expr::any(vec![a.clone(), Expr::all(vec![b.clone(), c.clone()])]),
                "a = 1\nOR (b = 2 AND c IS NULL)",
            ),
            (Expr::all(vec![a.clone(), a.clone()]), "a = 1"),
            (a.clone().not(), "(a = 1) IS NOT TRUE"),
            (a.clone().not().not(), "NOT ((a = 1) IS NOT TRUE)"),
            (c.clone().not(), "c IS NOT NULL"),
            (c.clone().not().not(), "c IS NULL"),
            (Expr::any(vec![a.clone(), b.clone()]).not(), "(a = 1 OR b = 2) IS NOT TRUE"),
        ] {
            assert_eq!(expr.filter(0), sql);
        }
    }
}
