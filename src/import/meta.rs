//! What a rule says about itself: title, author, level, tags; and which log it is about.

use super::problem::{Problem, Reason};
use super::yaml::{Node, Place};
use crate::alert::Severity;
use crate::rules::{TACTICS, closest};

/// A rule's own words, in ours where there are such.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub place: Place,
    pub title: String,
    /// The UUID, and the name correlations may use.
    pub id: Option<String>,
    pub name: Option<String>,
    pub description: String,
    pub author: Option<String>,
    pub date: Option<String>,
    pub references: Vec<String>,
    pub false_positives: Vec<String>,
    pub severity: Severity,
    pub tactic: &'static str,
    pub attack: Vec<String>,
    /// Fields to show.
    pub fields: Vec<(String, Place)>,
    pub warnings: Vec<(Place, String)>,
}

/// Tactics that ATT&CK came to call otherwise, or that lie outside of a cluster.
const OTHER_TACTICS: &[(&str, &str)] = &[
    ("reconnaissance", "discovery"),
    ("resource-development", "execution"),
    ("stealth", "defense-evasion"),
    ("defense-impairment", "defense-evasion"),
    ("c2", "command-and-control"),
];

/// The tactic of techniques, for rules that name none.
const BY_TECHNIQUE: &[(&str, &[&str])] = &[
    ("execution", &["T1609", "T1610", "T1059", "T1204", "T1648"]),
    ("privilege-escalation", &["T1611", "T1068", "T1548"]),
    (
        "discovery",
        &["T1613", "T1069", "T1087", "T1046", "T1018", "T1526", "T1580", "T1538", "T1619", "T1082", "T1057"],
    ),
    ("credential-access", &["T1552", "T1528", "T1110", "T1555", "T1557", "T1606", "T1649"]),
    (
        "persistence",
        &["T1098", "T1136", "T1053", "T1525", "T1543", "T1546", "T1505", "T1554", "T1078", "T1556"],
    ),
    ("defense-evasion", &["T1562", "T1070", "T1027", "T1036", "T1564", "T1578", "T1612"]),
    ("impact", &["T1485", "T1486", "T1489", "T1490", "T1496", "T1498", "T1499", "T1531"]),
    ("lateral-movement", &["T1021", "T1550", "T1210"]),
    ("initial-access", &["T1190", "T1133", "T1199", "T1195"]),
    ("collection", &["T1530", "T1213", "T1074", "T1119"]),
    ("command-and-control", &["T1071", "T1090", "T1572", "T1105"]),
    ("exfiltration", &["T1041", "T1567", "T1048", "T1537"]),
];

/// Reads what stands around the detection. Only what makes the rule useless is a problem.
pub(super) fn read(node: &Node) -> Result<Meta, Problem> {
    let text = |name: &str| {
        let text = node.get(name).filter(|value| !value.is_null()).and_then(Node::text);
        text.map(|text| clean(text).trim().to_owned()).filter(|text| !text.is_empty())
    };
    let texts = |name: &str| -> Vec<String> {
        let items = node.get(name).map(Node::items).unwrap_or_default();
        let mut texts: Vec<String> = Vec::new();
        for item in items.iter().filter(|item| !item.is_null()) {
            let line = item.text().map(one_line).unwrap_or_default();
            if !line.is_empty() && !texts.contains(&line) {
                texts.push(line);
            }
        }
        texts
    };
    let Some(title) = text("title").map(|title| one_line(&title)) else {
        return Err(Problem::new(Reason::Structure, node.place, "no title; is this a Sigma rule?"));
    };
    let mut warnings = Vec::new();
    let place = |name: &str| node.get(name).map_or(node.place, |value| value.place);
    match text("status").as_deref() {
        Some(status @ ("unsupported" | "deprecated")) => {
            return Err(Problem::new(
                Reason::Status,
                place("status"),
                format!("the rule is {status} by its own word; set another status to import it all the same"),
            ));
        }
        None | Some("stable" | "test" | "experimental") => {}
        Some(other) => {
            warnings.push((place("status"), format!("status \"{}\" is none of Sigma's", one_line(other))))
        }
    }
    let severity = match text("level") {
        None => Severity::Medium,
        Some(level) => level.to_lowercase().parse().unwrap_or_else(|_| {
            let hint = closest(&level, Severity::ALL.map(Severity::as_str));
            let hint = hint.map(|found| format!("; did you mean \"{found}\"?")).unwrap_or_default();
            warnings.push((
                place("level"),
                format!("level \"{}\" is none of Sigma's, taken as medium{hint}", one_line(&level)),
            ));
            Severity::Medium
        }),
    };
    let (tactic, attack) = tags(&texts("tags"));
    let tactic = tactic.unwrap_or_else(|| {
        warnings.push((place("tags"), "no tag names a tactic; filed under execution".into()));
        "execution"
    });
    let fields = node.get("fields").map(Node::items).unwrap_or_default().iter();
    let fields = fields.filter_map(|item| Some((item.text()?.to_owned(), item.place))).collect();
    let silent =
        |text: &String| !matches!(text.to_lowercase().trim_end_matches('.'), "unknown" | "none" | "unlikely");
    Ok(Meta {
        place: node.place,
        title,
        id: text("id").map(|id| one_line(&id)),
        name: text("name"),
        description: text("description").unwrap_or_default(),
        author: text("author").map(|author| one_line(&author)),
        date: text("modified").or(text("date")).map(|date| one_line(&date)),
        references: texts("references"),
        false_positives: texts("falsepositives").into_iter().filter(silent).collect(),
        severity,
        tactic,
        attack,
        fields,
        warnings,
    })
}

/// The first tactic and all techniques of a rule's tags.
fn tags(tags: &[String]) -> (Option<&'static str>, Vec<String>) {
    let (mut tactic, mut attack) = (None, Vec::new());
    for tag in tags {
        let Some(name) = tag.to_lowercase().strip_prefix("attack.").map(|name| name.replace('_', "-")) else {
            continue;
        };
        let other = OTHER_TACTICS.iter().find(|(from, _)| *from == name).map(|(_, to)| *to);
        let known = TACTICS.into_iter().find(|known| *known == name).or(other);
        tactic = tactic.or(known);
        let technique = name.to_uppercase();
        if is_technique(&technique) && !attack.contains(&technique) {
            attack.push(technique);
        }
    }
    let of = |technique: &String| {
        let main = technique.split('.').next().unwrap_or_default();
        BY_TECHNIQUE.iter().find(|(_, of)| of.contains(&main)).map(|(tactic, _)| *tactic)
    };
    (tactic.or_else(|| attack.iter().find_map(of)), attack)
}

fn is_technique(text: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = text.strip_prefix('T') else { return false };
    match number.split_once('.') {
        Some((main, sub)) => digits(main, 4) && digits(sub, 3),
        None => digits(number, 4),
    }
}

/// A log a rule may be about, and the categories of AKS that carry it; empty = either of the two.
pub(super) fn log_source(node: &Node) -> Result<Vec<&'static str>, Problem> {
    let Some(source) = node.get("logsource") else {
        return Err(Problem::new(Reason::Structure, node.place, "no logsource; is this a Sigma rule?"));
    };
    let word = |name: &str| {
        source.get(name).and_then(Node::text).unwrap_or_default().trim().to_lowercase().replace('_', "-")
    };
    let (product, service, category) = (word("product"), word("service"), word("category"));
    let audit = |word: &str| {
        matches!(word, "audit" | "kube-audit" | "kube-audit-admin" | "kubernetes.audit" | "aks.audit")
    };
    let azure = |word: &str| {
        audit(word)
            || matches!(
                word,
                "aks"
                    | "kubernetes"
                    | "diagnosticlogs"
                    | "diagnostic-logs"
                    | "resourcelogs"
                    | "azurediagnostics"
                    | "aksaudit"
                    | "aksauditadmin"
            )
    };
    let fits = match product.as_str() {
        "kubernetes" | "k8s" | "aks" => {
            audit(&service) || (service.is_empty() && (audit(&category) || category.is_empty()))
        }
        "azure" => azure(&service) || (service.is_empty() && azure(&category)),
        "" => audit(&service) && service != "audit",
        _ => false,
    };
    if !fits {
        let named: Vec<String> = [("product", product), ("service", service), ("category", category)]
            .into_iter()
            .filter(|(_, word)| !word.is_empty())
            .map(|(name, word)| format!("{name} {}", one_line(&word)))
            .collect();
        let named = if named.is_empty() { "nothing".to_owned() } else { named.join(", ") };
        let message = format!(
            "the log source ({named}) is not the audit log of Kubernetes: product kubernetes, service audit, or product azure, service kube-audit"
        );
        return Err(Problem::new(Reason::LogSource, source.place, message));
    }
    Ok(match (service.as_str(), category.as_str()) {
        ("kube-audit" | "aksaudit", _) | ("", "kube-audit" | "aksaudit") => vec!["kube-audit"],
        ("kube-audit-admin" | "aksauditadmin", _) | ("", "kube-audit-admin" | "aksauditadmin") => {
            vec!["kube-audit-admin"]
        }
        _ => Vec::new(),
    })
}

/// Without characters that could steer a terminal or end a line of a header.
fn clean(text: &str) -> String {
    let keep = |c: char| match c {
        '\n' => Some('\n'),
        '\t' => Some(' '),
        c if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
        {
            None
        }
        c => Some(c),
    };
    text.chars().filter_map(keep).collect()
}

/// A text as one line.
pub(super) fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}
