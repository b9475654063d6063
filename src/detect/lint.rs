//! What can be said of the SQL of a rule or query from its text alone, each problem at its place:
//! tables, functions, lists and parameters that do not exist, clocks, literals that do not fit the
//! column they are compared with.
//!
//! DataFusion would accept several of these (`verb = 1` is compared as text and never true) or report
//! them without a position.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Select,
    Spanned, Statement, TableFactor, UnaryOperator, Value, ValueWithSpan, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Location;

use super::functions::list_arguments;
use crate::event::schema::{Column, Kind, TABLES};
use crate::rules::{List, Parameter, ParameterKind, closest};

/// Functions that read a clock. A rule has none: the same text runs live, in replay and as a hunt.
pub const CLOCKS: &[&str] =
    &["now", "current_timestamp", "current_date", "current_time", "localtime", "localtimestamp", "today"];

/// What the SQL is for: a rule names no time and no clock, a saved query its parameters and no clock.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    Rule,
    Saved(&'a [Parameter]),
    Hunt,
}

/// A problem at a line and column of the SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub at: (usize, usize),
    pub message: String,
}

/// A parsed query and what its text says about it.
pub struct Linted {
    pub statement: Statement,
    pub problems: Vec<Problem>,
    /// Where the first `SELECT` stands.
    pub select: (usize, usize),
    pub uses_window_end: bool,
    /// Tables as the query calls them: by alias, else by name.
    pub relations: Vec<String>,
    /// Parameters by name, each as often as it stands there.
    pub placeholders: Vec<(String, (usize, usize))>,
    /// Whether the outermost query has an `ORDER BY`.
    pub ordered: bool,
    /// Whether `EXPLAIN` stood before it.
    pub explain: Option<Explain>,
}

/// `EXPLAIN`, with its two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explain {
    pub analyze: bool,
    pub verbose: bool,
}

pub fn position(location: Location) -> (usize, usize) {
    (location.line.max(1) as usize, location.column.max(1) as usize)
}

/// Parses one query and looks at its names and literals.
pub fn lint(
    sql: &str,
    purpose: Purpose<'_>,
    state: &SessionState,
    lists: &BTreeMap<String, Arc<List>>,
) -> Result<Linted, Problem> {
    let mut statements = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| syntax_problem(&error.to_string()))?;
    if statements.len() > 1 {
        let at = position(statements[1].span().start);
        let message = match purpose {
            Purpose::Hunt => "more than one statement; run one SELECT after another",
            _ => "more than one statement; a file holds one SELECT",
        };
        return Err(Problem { at, message: message.into() });
    }
    let mut explain = None;
    if let Purpose::Hunt = purpose
        && let Some(Statement::Explain { analyze, verbose, .. }) = statements.last()
    {
        explain = Some(Explain { analyze: *analyze, verbose: *verbose });
        if let Some(Statement::Explain { statement, .. }) = statements.pop() {
            statements.push(*statement);
        }
    }
    let Some(statement) = statements.pop() else {
        return Err(Problem { at: (1, 1), message: "no SQL; write one SELECT".into() });
    };
    let Statement::Query(query) = &statement else {
        let at = position(statement.span().start);
        let word = statement.to_string().split_whitespace().next().unwrap_or_default().to_uppercase();
        let message = match purpose {
            Purpose::Hunt => format!("{word} is not allowed: nothing is changed here; write a SELECT"),
            _ => format!("{word} is not allowed; only SELECT is"),
        };
        return Err(Problem { at, message });
    };
    let ordered = query.order_by.is_some();
    let mut names = Names::default();
    let _ = statement.visit(&mut names);
    let (problems, placeholders) = (Vec::new(), Vec::new());
    let mut linter = Linter { purpose, state, lists, names, problems, placeholders, uses_window_end: false };
    let _ = statement.visit(&mut linter);
    let Linter { problems, placeholders, uses_window_end, names, .. } = linter;
    let Names { select, relations, .. } = names;
    let select = select.unwrap_or((1, 1));
    Ok(Linted { statement, problems, select, uses_window_end, relations, placeholders, ordered, explain })
}

/// Turns `... at Line: 3, Column: 5` into a place and the rest.
pub fn syntax_problem(text: &str) -> Problem {
    let text = text.trim_start_matches("sql parser error: ");
    let number = |s: &str| s.trim().parse::<usize>().ok();
    if let Some((message, place)) = text.rsplit_once(" at Line: ")
        && let Some((line, column)) = place.split_once(", Column: ")
        && let (Some(line), Some(column)) = (number(line), number(column))
    {
        return Problem { at: (line, column), message: format!("syntax error: {}", lower_first(message)) };
    }
    Problem { at: (1, 1), message: format!("syntax error: {}", lower_first(text)) }
}

/// Messages are lower case and have no full stop.
pub fn lower_first(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Names the query itself introduces, and which tables its aliases stand for.
#[derive(Default)]
struct Names {
    ctes: BTreeSet<String>,
    select: Option<(usize, usize)>,
    relations: Vec<String>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes.extend(ctes.map(|cte| cte.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let (alias, name) = match factor {
            TableFactor::Table { alias, name, .. } => (alias, Some(name)),
            TableFactor::Derived { alias, .. } => (alias, None),
            _ => return ControlFlow::Continue(()),
        };
        let own = name.and_then(|n| n.0.last()).and_then(|part| part.as_ident());
        let called = alias.as_ref().map(|a| &a.name).or(own);
        self.relations.extend(called.map(|ident| ident.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let at = position(select.select_token.0.span.start);
        self.select = Some(self.select.map_or(at, |first| first.min(at)));
        ControlFlow::Continue(())
    }
}

struct Linter<'a> {
    purpose: Purpose<'a>,
    state: &'a SessionState,
    lists: &'a BTreeMap<String, Arc<List>>,
    names: Names,
    problems: Vec<Problem>,
    placeholders: Vec<(String, (usize, usize))>,
    uses_window_end: bool,
}

impl Linter<'_> {
    fn report(&mut self, location: Location, message: String) {
        self.problems.push(Problem { at: position(location), message });
    }

    /// The parameter of a placeholder such as `$name`, where parameters are declared.
    fn parameter(&self, placeholder: &str) -> Option<&Parameter> {
        let Purpose::Saved(parameters) = self.purpose else { return None };
        let name = placeholder.strip_prefix('$')?;
        parameters.iter().find(|parameter| parameter.name == name)
    }

    fn placeholder(&mut self, placeholder: &str, span: Location) {
        let name = placeholder.strip_prefix('$').unwrap_or_default();
        self.placeholders.push((name.to_string(), position(span)));
        let named = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        match self.purpose {
            Purpose::Rule => self.report(span, "a rule has no parameters; write the value".into()),
            _ if !named => {
                let message = format!("\"{placeholder}\" is no parameter; write a name such as $identity");
                self.report(span, message);
            }
            Purpose::Saved(parameters) if self.parameter(placeholder).is_none() => {
                let hint = suggestion(name, parameters.iter().map(|parameter| &parameter.name));
                let hint = if hint.is_empty() { "; add it to [params]".into() } else { hint };
                self.report(span, format!("no parameter \"{name}\"{hint}"));
            }
            _ => {}
        }
    }

    fn known_functions(&self) -> impl Iterator<Item = String> {
        let state = self.state;
        let scalar = state.scalar_functions().keys().cloned();
        let aggregate = state.aggregate_functions().keys().cloned();
        let window = state.window_functions().keys().cloned();
        let tables = state.table_functions().keys().cloned();
        let planned = ["unnest", "coalesce", "nullif", "extract", "struct", "grouping"].map(String::from);
        scalar.chain(aggregate).chain(window).chain(tables).chain(planned)
    }

    fn function(&mut self, name: &ObjectName, args: &FunctionArguments) {
        let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else { return };
        let lower = ident.value.to_lowercase();
        if CLOCKS.contains(&lower.as_str()) && !matches!(self.purpose, Purpose::Hunt) {
            let advice = match self.purpose {
                Purpose::Rule => "a rule has none: give it a `window`, the command gives the range",
                _ => "a query has none: the command gives the range, a parameter any other time",
            };
            self.report(ident.span.start, format!("{lower} reads a clock; {advice}"));
        } else if lower == "window_end" {
            self.uses_window_end = true;
        } else if list_arguments(&lower).is_some() {
            self.list(ident, args);
        } else if self.state.udf(&lower).is_err() {
            let known: Vec<String> = self.known_functions().collect();
            if !known.contains(&lower) {
                let message = format!("no function \"{}\"{}", ident.value, suggestion(&lower, known.iter()));
                self.report(ident.span.start, message);
            }
        }
    }

    /// List and column must be there and named by texts.
    fn list(&mut self, function: &Ident, args: &FunctionArguments) {
        let FunctionArguments::List(args) = args else { return };
        let word = |at: usize| match args.args.get(at) {
            Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) => match literal(expr) {
                Some(ValueWithSpan { value: Value::SingleQuotedString(text), span }) => {
                    Some(Some((text, span.start)))
                }
                _ => Some(None),
            },
            _ => None,
        };
        let name = function.value.to_lowercase();
        let list = match word(0) {
            Some(Some((list, start))) => match self.lists.get(list) {
                Some(list) => list,
                None => {
                    let message = format!("no list \"{list}\"{}", suggestion(list, self.lists.keys()));
                    return self.report(start, message);
                }
            },
            Some(None) => {
                let message = format!("{name}() takes the list's name as a literal");
                return self.report(function.span.start, message);
            }
            None => return,
        };
        if name == "list_value" {
            match word(2) {
                Some(Some((column, start))) => {
                    if let Err(message) = list.column(column) {
                        self.report(start, message);
                    }
                }
                Some(None) => {
                    let message = format!("{name}() takes the column's name as a literal");
                    self.report(function.span.start, message);
                }
                None => {}
            }
        }
    }

    fn comparison(&mut self, left: &Expr, right: &Expr) {
        for (side, other) in [(left, right), (right, left)] {
            let Some(column) = column_of(side) else { continue };
            if column.kind == Kind::Time && matches!(self.purpose, Purpose::Rule) && is_constant(other) {
                self.report(
                    other.span().start,
                    format!("\"{}\" is compared with a fixed time; a rule names no time, the command gives the range", column.name),
                );
            } else if let Some(value) = literal(other) {
                self.literal(column, value);
            }
        }
    }

    fn literal(&mut self, column: &Column, value: &ValueWithSpan) {
        let name = column.name;
        let message = match (&value.value, column.kind) {
            (Value::SingleQuotedString(text), Kind::Int) if text.parse::<i64>().is_err() => {
                format!("'{text}' is no integer, and \"{name}\" is an int column; compare it with a number")
            }
            (Value::SingleQuotedString(text), Kind::Bool) if text.parse::<bool>().is_err() => {
                format!(
                    "'{text}' is no boolean, and \"{name}\" is a bool column; write `{name}` or `NOT {name}`"
                )
            }
            (Value::Number(number, _), Kind::Text | Kind::Json) => {
                format!("{number} is a number, and \"{name}\" is a text column; write '{number}'")
            }
            (Value::Boolean(_) | Value::Number(..), Kind::TextList)
            | (Value::SingleQuotedString(_), Kind::TextList) => {
                format!("\"{name}\" is a list of texts; write array_has({name}, …)")
            }
            (Value::Placeholder(placeholder), kind) => match self.parameter(placeholder) {
                Some(parameter) if !fits(parameter.kind, kind) => format!(
                    "parameter \"{}\" is of type {}, and \"{name}\" is a {} column",
                    parameter.name,
                    parameter.kind.name(),
                    kind.name()
                ),
                _ => return,
            },
            (Value::Boolean(boolean), Kind::Text | Kind::Json | Kind::Int) => {
                format!("{boolean} is a boolean, and \"{name}\" is a {} column", column.kind.name())
            }
            (Value::Number(number, _), Kind::Bool) => {
                format!(
                    "{number} is a number, and \"{name}\" is a bool column; write `{name}` or `NOT {name}`"
                )
            }
            _ => return,
        };
        self.report(value.span.start, message);
    }
}

impl Visitor for Linter<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let Some(ident) = relation.0.last().and_then(|part| part.as_ident()) else {
            return ControlFlow::Continue(());
        };
        let tables: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
        let known = tables.contains(&ident.value.as_str()) || self.names.ctes.contains(&ident.value);
        if !known && ident.value != "unnest" {
            let ctes = self.names.ctes.iter().map(String::as_str);
            let hint = suggestion(&ident.value, tables.into_iter().chain(ctes));
            let hint = if hint.is_empty() { "; there are audit and control_plane".into() } else { hint };
            self.report(ident.span.start, format!("no table \"{}\"{hint}", ident.value));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Value(ValueWithSpan { value: Value::Placeholder(text), span }) => {
                self.placeholder(text, span.start);
            }
            Expr::Function(function) => self.function(&function.name, &function.args),
            Expr::BinaryOp { left, op, right } if is_comparison(op) => self.comparison(left, right),
            Expr::InList { expr, list, .. } => list.iter().for_each(|item| self.comparison(expr, item)),
            Expr::Between { expr, low, high, .. } => {
                self.comparison(expr, low);
                self.comparison(expr, high);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `; did you mean "x"?`, or nothing.
pub fn suggestion(name: &str, candidates: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let candidates: Vec<_> = candidates.into_iter().collect();
    match closest(name, candidates.iter().map(AsRef::as_ref)) {
        Some(found) => format!("; did you mean \"{found}\"?"),
        None => String::new(),
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// Whether a parameter can be compared with a column. Text is compared with texts of any sort.
fn fits(parameter: ParameterKind, column: Kind) -> bool {
    use ParameterKind as P;
    match column {
        Kind::Text | Kind::Json => matches!(parameter, P::String | P::Cidr),
        Kind::Int => parameter == P::Int,
        Kind::Bool => parameter == P::Bool,
        Kind::Time => parameter == P::Time,
        Kind::TextList => parameter == P::Strings,
    }
}

fn literal(expr: &Expr) -> Option<&ValueWithSpan> {
    match expr {
        Expr::Value(value) => Some(value),
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => literal(inner),
        _ => None,
    }
}

/// The table column that an expression names. Names a query makes up itself are the planner's affair;
/// one that hides a column of the same name has that column's type in all but contrived queries.
pub fn column_of(expr: &Expr) -> Option<&'static Column> {
    let ident = match expr {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(parts) => parts.last()?,
        Expr::Nested(inner) => return column_of(inner),
        _ => return None,
    };
    TABLES.iter().flat_map(|(_, columns)| columns.iter()).find(|c| c.name == ident.value)
}

/// Whether nothing in the expression depends on a row or on the window.
fn is_constant(expr: &Expr) -> bool {
    struct Depends;
    impl Visitor for Depends {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_) | Expr::Subquery(_) => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Depends).is_continue()
}
