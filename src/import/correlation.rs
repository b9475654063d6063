//! Correlation rules as windows of ours: events counted, values counted, rules that fire together or one
//! after the other.

use chrono::TimeDelta;

use super::field::{self, Kind};
use super::problem::{Problem, Reason};
use super::rule::{Rule, alias};
use super::write::Header;
use super::yaml::{Key, Node, Place, Value};
use crate::rules::parse_duration;

/// Nothing is counted over longer than an archive keeps.
const LONGEST: TimeDelta = TimeDelta::days(400);

/// A correlation as a rule of ours.
#[derive(Debug)]
pub(super) struct Window {
    pub header: Header,
    pub sql: String,
}

/// The rules a correlation refers to, by id or name, with their places.
pub(super) fn referred(node: &Node) -> Vec<(String, Place)> {
    let rules = node.get("rules").map(Node::items).unwrap_or_default().iter();
    rules.filter_map(|item| Some((item.text()?.to_owned(), item.place))).collect()
}

/// Whether the rules it refers to stand for themselves too.
pub(super) fn generates(node: &Node) -> bool {
    node.get("generate").and_then(Node::text).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// A column a correlation groups by: its name, and what it is in each of the rules.
struct Group {
    name: String,
    of: Vec<String>,
}

fn refused(place: Place, message: impl Into<String>) -> Problem {
    Problem::new(Reason::Correlation, place, message)
}

/// Puts rules together; `rules` are those of [`referred`], in that order.
pub(super) fn window(node: &Node, rules: &[(String, &Rule)]) -> Result<Window, Problem> {
    let form = node.get("type").and_then(Node::text).unwrap_or_default();
    let at = node.get("type").map_or(node.place, |value| value.place);
    let known = ["event_count", "value_count", "temporal", "temporal_ordered"];
    if !known.contains(&form) {
        return Err(refused(
            at,
            format!("correlation type \"{form}\" is not supported; {} are", known.join(", ")),
        ));
    }
    let span = timespan(node)?;
    let groups = groups(node, rules)?;
    let condition = node.get("condition");
    let sql = match form {
        "event_count" => {
            let bounds = bounds(condition, node.place, "count(*)")?;
            let columns = ["count(*) AS events".to_owned()];
            counted(rules, &groups, &columns, &[], &bounds)
        }
        "value_count" => {
            let (bare, each) = counted_field(condition, node.place, &groups)?;
            let bounds = bounds(condition, node.place, &format!("count(DISTINCT {bare})"))?;
            let columns =
                [format!("count(DISTINCT {bare}) AS distinct_values"), "count(*) AS events".to_owned()];
            counted(rules, &groups, &columns, &[each], &bounds)
        }
        _ if rules.len() < 2 => return Err(refused(at, format!("{form} needs two rules at least"))),
        "temporal" => {
            let bounds = match condition {
                Some(_) => bounds(condition, node.place, "count(DISTINCT rule)")?,
                None => vec![format!("count(DISTINCT rule) = {}", rules.len())],
            };
            together(rules, &groups, &bounds)
        }
        _ => {
            if let Some(condition) = condition {
                return Err(refused(
                    condition.place,
                    "temporal_ordered wants all of its rules; remove the condition",
                ));
            }
            in_order(rules, &groups)
        }
    };
    let mut key = vec!["cluster".to_owned()];
    key.extend(groups.iter().map(|group| group.name.clone()));
    let names: Vec<String> = groups.iter().map(|group| format!("{{{}}}", group.name)).collect();
    let of = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
    let written = node.get("timespan").and_then(Node::text).unwrap_or_default();
    let summary = match form {
        "event_count" => format!("{{events}} events{of} within {written} in {{cluster}}"),
        "value_count" => {
            format!("{{distinct_values}} values in {{events}} events{of} within {written} in {{cluster}}")
        }
        "temporal" => format!("{{events}} events{of} that belong together within {written} in {{cluster}}"),
        _ => format!("{} steps{of}, one after the other within {written} in {{cluster}}", rules.len()),
    };
    let mut remarks: Vec<String> = Vec::new();
    for (name, rule) in rules {
        remarks.push(format!("It puts together \"{}\" ({name}).", rule.meta.title));
        remarks.extend(
            rule.remarks().into_iter().filter(|remark| !remarks.contains(remark)).collect::<Vec<_>>(),
        );
    }
    let mut categories: Vec<String> = Vec::new();
    for (_, rule) in rules {
        let of = rule.categories();
        if of.is_empty() {
            categories.clear();
            break;
        }
        categories.extend(of.into_iter().filter(|name| !categories.contains(name)).collect::<Vec<_>>());
    }
    Ok(Window { header: Header { key, summary, categories, window: Some(span), remarks }, sql })
}

fn timespan(node: &Node) -> Result<TimeDelta, Problem> {
    let Some(value) = node.get("timespan") else {
        return Err(refused(node.place, "no timespan; write one such as 10m"));
    };
    let text = value.text().unwrap_or_default();
    let span = parse_duration(text).map_err(|message| refused(value.place, message))?;
    if span <= TimeDelta::zero() || span > LONGEST {
        return Err(refused(value.place, format!("a timespan of {text}; write one from 1s to 400d")));
    }
    Ok(span)
}

fn groups(node: &Node, rules: &[(String, &Rule)]) -> Result<Vec<Group>, Problem> {
    let mut groups: Vec<Group> = Vec::new();
    for item in node.get("group-by").map(Node::items).unwrap_or_default() {
        let name = item.text().unwrap_or_default();
        let aliased = node.get("aliases").and_then(|aliases| aliases.get(name));
        let column = |field: &str| column(field).map_err(|message| refused(item.place, message));
        let of: Vec<String> = match aliased {
            None => vec![column(name)?; rules.len()],
            Some(aliased) => {
                let of = |(rule, _): &(String, &Rule)| match aliased.get(rule).and_then(Node::text) {
                    Some(field) => column(field),
                    None => Err(refused(
                        aliased.place,
                        format!("alias \"{name}\" names no field of the rule \"{rule}\""),
                    )),
                };
                rules.iter().map(of).collect::<Result<_, _>>()?
            }
        };
        let taken: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
        let own = of.first().filter(|sql| aliased.is_none() && is_column(sql));
        let name = own.cloned().unwrap_or_else(|| alias(name, &taken));
        if name != "cluster" && !taken.contains(&name) {
            groups.push(Group { name, of });
        }
    }
    Ok(groups)
}

fn is_column(sql: &str) -> bool {
    crate::event::schema::AUDIT.iter().any(|column| column.name == sql)
}

/// A field to group by or to count: one value for each event.
fn column(name: &str) -> Result<String, String> {
    let field = field::resolve(name)?;
    match field.kind {
        Kind::Text | Kind::Word(_) | Kind::Int => Ok(field.sql),
        // The client is the first of them.
        Kind::List if field.column == "source_ips" => Ok("client_ip".into()),
        Kind::Body => Ok(format!("array_to_string({}, ',')", field.sql)),
        Kind::List | Kind::Time => Err(format!("\"{name}\" is no single value to group by or to count")),
    }
}

/// The field of a `value_count`: what is counted above the rows, and what each row has for it.
fn counted_field(
    condition: Option<&Node>,
    place: Place,
    groups: &[Group],
) -> Result<(String, (String, String)), Problem> {
    let Some(node) = condition.and_then(|condition| condition.get("field")) else {
        return Err(refused(
            place,
            "value_count needs the field whose values it counts: condition with field",
        ));
    };
    let [item] = node.items() else {
        return Err(refused(node.place, "several fields counted together are not supported; name one"));
    };
    let name = item.text().unwrap_or_default();
    let sql = column(name).map_err(|message| refused(item.place, message))?;
    let taken: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
    match is_column(&sql) {
        true => Ok((sql.clone(), (sql.clone(), sql))),
        false => {
            let name = alias(name, &taken);
            Ok((name.clone(), (name, sql)))
        }
    }
}

/// The bounds of a count as SQL; one from below at least.
fn bounds(condition: Option<&Node>, place: Place, counted: &str) -> Result<Vec<String>, Problem> {
    let Some(condition) = condition else {
        return Err(refused(place, "no condition; write one such as gte: 10"));
    };
    let Value::Map(entries) = &condition.value else {
        return Err(refused(
            condition.place,
            format!("{} as the condition of a correlation; write a map such as gte: 10", condition.kind()),
        ));
    };
    let (mut bounds, mut below) = (Vec::new(), false);
    for (Key { name, place }, value) in entries {
        let operator = match name.as_str() {
            "field" => continue,
            "gt" => ">",
            "gte" => ">=",
            "lt" => "<",
            "lte" => "<=",
            "eq" => "=",
            "neq" => "<>",
            other => {
                return Err(refused(
                    *place,
                    format!(
                        "\"{other}\" in the condition of a correlation; gt, gte, lt, lte, eq and neq can be there"
                    ),
                ));
            }
        };
        let text = value.text().unwrap_or_default().trim();
        let Some(number) = text.parse::<u32>().ok() else {
            return Err(refused(value.place, format!("\"{text}\" is no number of events")));
        };
        below |= matches!((operator, number), (">=" | "=", 1..) | (">", _));
        bounds.push(format!("{counted} {operator} {number}"));
    }
    if !below {
        let message = "every burst begins with few events, and where there are none no window is looked at: give a bound from below, gt, gte or eq";
        return Err(refused(condition.place, message));
    }
    Ok(bounds)
}

/// Rows of one rule with the columns named.
fn select(rule: &Rule, columns: &[String], indent: usize) -> String {
    let pad = " ".repeat(indent);
    format!(
        "{pad}SELECT {}\n{pad}FROM audit\n{pad}WHERE\n{}",
        columns.join(", "),
        rule.detected.expr.filter(indent + 4)
    )
}

fn named(sql: &str, name: &str) -> String {
    if sql == name { name.to_owned() } else { format!("{sql} AS {name}") }
}

/// All rules' rows, one below the other, each with the number of its rule.
fn union(rules: &[(String, &Rule)], groups: &[Group], more: &[(String, String)]) -> String {
    let part = |(at, (_, rule)): (usize, &(String, &Rule))| {
        let mut columns = vec!["cluster".to_owned(), "time".to_owned()];
        columns.extend(groups.iter().filter_map(|group| Some(named(group.of.get(at)?, &group.name))));
        for (name, sql) in more {
            if !groups.iter().any(|group| group.name == *name) {
                columns.push(named(sql, name));
            }
        }
        columns.push(format!("{} AS rule", at + 1));
        select(rule, &columns, 4)
    };
    let parts: Vec<String> = rules.iter().enumerate().map(part).collect();
    format!("(\n{}\n) AS matches", parts.join("\n    UNION ALL\n"))
}

/// `SELECT … GROUP BY … HAVING …` over a source of rows.
fn grouped(from: &str, groups: &[Group], columns: &[String], bounds: &[String]) -> String {
    let names: Vec<&str> =
        std::iter::once("cluster").chain(groups.iter().map(|group| group.name.as_str())).collect();
    let mut selected: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    selected.extend(columns.iter().cloned());
    selected.extend(["min(time) AS first_seen".to_owned(), "max(time) AS last_seen".to_owned()]);
    format!(
        "SELECT\n    {}\nFROM {from}\nGROUP BY {}\nHAVING {}",
        selected.join(",\n    "),
        names.join(", "),
        bounds.join(" AND ")
    )
}

/// Events, or values in them, counted in each group.
fn counted(
    rules: &[(String, &Rule)],
    groups: &[Group],
    columns: &[String],
    more: &[(String, String)],
    bounds: &[String],
) -> String {
    let plain = groups.iter().all(|group| group.of.iter().all(|sql| *sql == group.name))
        && more.iter().all(|(name, sql)| name == sql);
    match rules {
        [(_, rule)] if plain => {
            let from = format!("audit\nWHERE\n{}", rule.detected.expr.filter(4));
            grouped(&from, groups, columns, bounds)
        }
        _ => grouped(&union(rules, groups, more), groups, columns, bounds),
    }
}

fn together(rules: &[(String, &Rule)], groups: &[Group], bounds: &[String]) -> String {
    grouped(&union(rules, groups, &[]), groups, &["count(*) AS events".to_owned()], bounds)
}

/// For each group the earliest event of the first rule, then the earliest of the next rule behind it, and
/// so on: if there is any such chain in the window, this finds one.
fn in_order(rules: &[(String, &Rule)], groups: &[Group]) -> String {
    let names: Vec<&str> =
        std::iter::once("cluster").chain(groups.iter().map(|group| group.name.as_str())).collect();
    let mut steps = Vec::new();
    for (at, (_, rule)) in rules.iter().enumerate() {
        let mut columns = vec!["cluster".to_owned(), "time".to_owned()];
        columns.extend(groups.iter().filter_map(|group| Some(named(group.of.get(at)?, &group.name))));
        let step = at + 1;
        let rows = format!("(\n{}\n    )", select(rule, &columns, 8));
        let body = if at == 0 {
            format!(
                "    SELECT {0}, min(time) AS reached, min(time) AS first_seen\n    FROM {rows} AS matches\n    GROUP BY {0}",
                names.join(", ")
            )
        } else {
            let earlier: Vec<String> = names.iter().map(|name| format!("earlier.{name}")).collect();
            let same: Vec<String> = names
                .iter()
                .map(|name| format!("(later.{name} IS NOT DISTINCT FROM earlier.{name})"))
                .collect();
            format!(
                "    SELECT {0}, min(later.time) AS reached, min(earlier.first_seen) AS first_seen\n    FROM step_{at} AS earlier\n    JOIN {rows} AS later\n        ON {1}\n        AND later.time > earlier.reached\n    GROUP BY {0}",
                earlier.join(", "),
                same.join("\n        AND ")
            )
        };
        steps.push(format!("step_{step} AS (\n{body}\n)"));
    }
    format!(
        "WITH {}\nSELECT\n    {},\n    first_seen,\n    reached AS last_seen\nFROM step_{}",
        steps.join(",\n"),
        names.join(",\n    "),
        rules.len()
    )
}
