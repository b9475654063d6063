//! What a condition leaves of each thing it compares, and where it leaves nothing.
//!
//! Only comparisons with constants are understood; everything else may be true. Nothing is said of
//! conditions that hold together by chance, so whatever is reported can never be true.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Spanned, UnaryOperator, Value};

use super::values::{Read, read};
use crate::detect::lint::{Problem, position};

/// Whether null is among the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Null {
    Maybe,
    Not,
    Must,
}

/// A bound of a number, and whether it is itself left out.
type Bound = Option<(f64, bool)>;

/// The values that are left of one expression.
#[derive(Debug, Clone)]
pub(super) struct Domain {
    /// These alone, if they are known.
    pub only: Option<BTreeSet<String>>,
    except: BTreeSet<String>,
    low: Bound,
    high: Bound,
    pub null: Null,
    /// The column whose absence makes the expression null, and whether the expression is that column.
    pub reads: Option<(Read, bool)>,
    /// Where it was first narrowed.
    pub at: (usize, usize),
}

/// Domains by the text of the expression.
pub(super) type Facts = BTreeMap<String, Domain>;

impl Domain {
    fn of(expr: &Expr, null: Null) -> Self {
        let reads = read(expr);
        let at = position(expr.span().start);
        Self { only: None, except: BTreeSet::new(), low: None, high: None, null, reads, at }
    }

    fn and(&self, other: &Domain) -> Option<Domain> {
        let null = match (self.null, other.null) {
            (Null::Not, Null::Must) | (Null::Must, Null::Not) => return None,
            (Null::Maybe, null) | (null, Null::Maybe) => null,
            (null, _) => null,
        };
        let mut both = Domain { null, ..self.clone() };
        both.only = match (&self.only, &other.only) {
            (Some(a), Some(b)) => Some(a.intersection(b).cloned().collect()),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        both.except.extend(other.except.iter().cloned());
        both.low = tighter(self.low, other.low, |a, b| a > b);
        both.high = tighter(self.high, other.high, |a, b| a < b);
        both.settled()
    }

    /// Without what the parts exclude of each other; `None` if nothing is left.
    fn settled(mut self) -> Option<Domain> {
        let (low, high) = (self.low, self.high);
        if let Some(only) = &mut self.only {
            only.retain(|value| !self.except.contains(value) && within(value, low, high));
        }
        let crossed = match (low, high) {
            (Some((low, no_low)), Some((high, no_high))) => low > high || low == high && (no_low || no_high),
            _ => false,
        };
        let empty = crossed || self.only.as_ref().is_some_and(BTreeSet::is_empty);
        match (empty, self.null) {
            (false, _) | (true, Null::Must) => Some(self),
            (true, Null::Maybe) => Some(Domain { null: Null::Must, ..self }),
            (true, Null::Not) => None,
        }
    }

    fn or(&self, other: &Domain) -> Domain {
        let null = if self.null == other.null { self.null } else { Null::Maybe };
        if self.null == Null::Must || other.null == Null::Must {
            let values = if self.null == Null::Must { other } else { self };
            return Domain { null, ..values.clone() };
        }
        let only = match (&self.only, &other.only) {
            (Some(a), Some(b)) => Some(a.union(b).cloned().collect()),
            _ => None,
        };
        // What one side leaves out the other may list.
        let except = self.except.intersection(&other.except).cloned().collect();
        let low = self.low.zip(other.low).map(|(a, b)| if a.0 <= b.0 { a } else { b });
        let high = self.high.zip(other.high).map(|(a, b)| if a.0 >= b.0 { a } else { b });
        Domain { only, except, low, high, null, ..self.clone() }
    }

    /// Whether every value it may have is one of these.
    pub fn is_among(&self, values: &[&str]) -> bool {
        self.null == Null::Not
            && self
                .only
                .as_ref()
                .is_some_and(|only| !only.is_empty() && only.iter().all(|v| values.contains(&v.as_str())))
    }
}

fn tighter(a: Bound, b: Bound, is: impl Fn(f64, f64) -> bool) -> Bound {
    match (a, b) {
        (Some(x), Some(y)) if is(x.0, y.0) || x.0 == y.0 && x.1 => Some(x),
        (Some(_), Some(y)) => Some(y),
        (a, b) => a.or(b),
    }
}

fn within(value: &str, low: Bound, high: Bound) -> bool {
    let Ok(number) = value.parse::<f64>() else { return true };
    let above = low.is_none_or(|(bound, strict)| number > bound || number == bound && !strict);
    above && high.is_none_or(|(bound, strict)| number < bound || number == bound && !strict)
}

/// The constant that an expression is, as text.
pub(super) fn constant(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => constant(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => constant(expr).map(|value| format!("-{value}")),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            Value::Number(number, _) => Some(number.clone()),
            Value::Boolean(boolean) => Some(boolean.to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        other => other,
    }
}

/// Looks at conditions and notes the parts that can never be true.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub problems: Vec<Problem>,
    /// Names of columns that the query gives to something else.
    pub own: BTreeSet<String>,
}

impl Conditions {
    /// What must hold where the condition is true (`positive`) or false; `None` = it never is.
    pub fn facts(&mut self, expr: &Expr, positive: bool) -> Option<Facts> {
        match expr {
            Expr::Nested(inner) => self.facts(inner, positive),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => self.facts(expr, !positive),
            Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                let (left, right) = (self.facts(left, positive), self.facts(right, positive));
                match (*op == BinaryOperator::And) == positive {
                    true => self.both(left?, right?),
                    false => either(left, right),
                }
            }
            Expr::BinaryOp { left, op, right } => match (constant(left), constant(right)) {
                (None, Some(value)) => self.comparison(left, op, &value, positive),
                (Some(value), None) => self.comparison(right, &mirrored(op), &value, positive),
                _ => Some(Facts::new()),
            },
            Expr::InList { expr, list, negated } => {
                let Some(values) = list.iter().map(constant).collect::<Option<BTreeSet<_>>>() else {
                    return Some(Facts::new());
                };
                let mut domain = Domain::of(bare(expr), Null::Not);
                match *negated == positive {
                    true => domain.except = values,
                    false => domain.only = Some(values),
                }
                self.one(expr, domain)
            }
            Expr::Between { expr, negated: false, low, high } if positive => {
                let bound = |expr: &Expr| Some((constant(expr)?.parse::<f64>().ok()?, false));
                let mut domain = Domain::of(bare(expr), Null::Not);
                (domain.low, domain.high) = (bound(low), bound(high));
                self.one(expr, domain)
            }
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                let null = matches!(expr, Expr::IsNull(_)) == positive;
                self.one(inner, Domain::of(bare(inner), if null { Null::Must } else { Null::Not }))
            }
            Expr::Like { expr, .. } | Expr::ILike { expr, .. } => {
                self.one(expr, Domain::of(bare(expr), Null::Not))
            }
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_) => {
                let mut domain = Domain::of(expr, Null::Not);
                domain.only = Some(BTreeSet::from([positive.to_string()]));
                self.one(expr, domain)
            }
            _ => Some(Facts::new()),
        }
    }

    fn comparison(&mut self, expr: &Expr, op: &BinaryOperator, value: &str, positive: bool) -> Option<Facts> {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        let mut domain = Domain::of(bare(expr), Null::Not);
        let number = value.parse::<f64>().ok();
        let op = if positive { op.clone() } else { opposite(op) };
        match op {
            Eq => domain.only = Some(BTreeSet::from([value.to_owned()])),
            NotEq => domain.except = BTreeSet::from([value.to_owned()]),
            Lt => domain.high = number.map(|n| (n, true)),
            LtEq => domain.high = number.map(|n| (n, false)),
            Gt => domain.low = number.map(|n| (n, true)),
            GtEq => domain.low = number.map(|n| (n, false)),
            _ => return Some(Facts::new()),
        }
        self.one(expr, domain)
    }

    fn one(&mut self, expr: &Expr, mut domain: Domain) -> Option<Facts> {
        domain.reads = domain.reads.filter(|(read, _)| !self.own.contains(read.name));
        if matches!(&domain.reads, Some((read, true)) if read.name == "status_code") {
            let mut codes = Domain::of(bare(expr), Null::Maybe);
            (codes.low, codes.high) = (Some((100.0, false)), Some((599.0, false)));
            if domain.and(&codes).is_none() {
                let message = "never true: a status code lies between 100 and 599".to_owned();
                self.problems.push(Problem { at: domain.at, message });
                return None;
            }
        }
        Some(Facts::from([(bare(expr).to_string(), domain)]))
    }

    /// What holds where both do.
    pub fn both(&mut self, mut left: Facts, right: Facts) -> Option<Facts> {
        for (key, domain) in right {
            let Some(earlier) = left.get(&key) else {
                left.insert(key, domain);
                continue;
            };
            let Some(both) = earlier.and(&domain) else {
                let message = format!(
                    "never true: what line {} asks of {} excludes this",
                    earlier.at.0,
                    shortened(&key)
                );
                self.problems.push(Problem { at: domain.at, message });
                return None;
            };
            left.insert(key, both);
        }
        Some(left)
    }
}

/// What holds where one of them does.
fn either(left: Option<Facts>, right: Option<Facts>) -> Option<Facts> {
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (left, right) => return left.or(right),
    };
    let shared = left.iter().filter_map(|(key, domain)| Some((key.clone(), domain.or(right.get(key)?))));
    Some(shared.collect())
}

fn mirrored(op: &BinaryOperator) -> BinaryOperator {
    use BinaryOperator::{Gt, GtEq, Lt, LtEq};
    match op {
        Lt => Gt,
        LtEq => GtEq,
        Gt => Lt,
        GtEq => LtEq,
        other => other.clone(),
    }
}

fn opposite(op: &BinaryOperator) -> BinaryOperator {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match op {
        Eq => NotEq,
        NotEq => Eq,
        Lt => GtEq,
        LtEq => Gt,
        Gt => LtEq,
        GtEq => Lt,
        other => other.clone(),
    }
}

/// An expression short enough for a message.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
