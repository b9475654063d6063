//! Coverage as a page of Markdown: what `docs/coverage.md` is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::super::rules::{SECTIONS, section};
use super::peers::{Compared, State};
use super::{Asked, Facts, needs};
use crate::alert::{Severity, Status};
use crate::rules::TACTICS;

const SEVERITIES: [Severity; 5] =
    [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Informational];

/// The page; the same rules, queries and peers give the same text.
pub(super) fn page(rules: &[Facts], queries: &[Asked], compared: &Compared<'_>) -> String {
    let page = Page { rules, links: rules.iter().map(|rule| (rule.id.as_str(), link(rule))).collect() };
    let mut text = String::new();
    let written = page.write(&mut text, queries, compared);
    debug_assert!(written.is_ok(), "writing to a String never fails");
    text
}

struct Page<'a> {
    rules: &'a [Facts],
    /// Of each rule by id.
    links: BTreeMap<&'a str, String>,
}

/// A rule as a link; in italics if its alerts are not sent.
fn link(rule: &Facts) -> String {
    let link = format!("[{0}](../detections/{1}/{0}.sql)", rule.id, rule.tactic);
    if rule.status == Status::Shadow { format!("*{link}*") } else { link }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['<', '>'], "")
}

impl Page<'_> {
    fn write(&self, out: &mut String, queries: &[Asked], compared: &Compared<'_>) -> std::fmt::Result {
        let shadow = self.rules.iter().filter(|rule| rule.status == Status::Shadow).count();
        write!(
            out,
            "# Coverage\n\n\
             <!-- Made by `aksentry rules coverage --markdown`; `UPDATE_DOCS=1 cargo test --test main docs` writes it, a test compares. -->\n\n\
             What the {} detections and {} saved queries cover. In italics: the {shadow} detections in shadow, which are evaluated\n\
             and counted but not sent. `aksentry rules coverage` prints the same of any folder of detections, `--navigator FILE` as a layer of the\n\
             [ATT&CK Navigator](https://mitre-attack.github.io/attack-navigator/), `--peers` rule by rule.\n",
            self.rules.len(),
            queries.len(),
        )?;
        self.tactics(out)?;
        self.techniques(out)?;
        self.sections(out, queries)?;
        self.categories(out)?;
        self.peers(out, compared)
    }

    fn list<'b>(&self, ids: impl IntoIterator<Item = &'b str>) -> String {
        let link = |id: &str| self.links.get(id).cloned().unwrap_or_else(|| id.to_owned());
        ids.into_iter().map(link).collect::<Vec<_>>().join(", ")
    }

    fn tactics(&self, out: &mut String) -> std::fmt::Result {
        out.push_str("\n## By tactic\n\n| tactic | rules | critical | high | medium | low | informational | techniques |\n|---|---|---|---|---|---|---|---|\n");
        for tactic in TACTICS {
            let of: Vec<&Facts> = self.rules.iter().filter(|rule| rule.tactic == tactic).collect();
            let counts = SEVERITIES.map(|s| of.iter().filter(|rule| rule.severity == s).count().to_string());
            let techniques: BTreeSet<&String> = of.iter().flat_map(|rule| &rule.attack).collect();
            writeln!(out, "| {tactic} | {} | {} | {} |", of.len(), counts.join(" | "), techniques.len())?;
        }
        Ok(())
    }

    fn techniques(&self, out: &mut String) -> std::fmt::Result {
        let mut by: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for rule in self.rules {
            for technique in &rule.attack {
                by.entry(technique).or_default().insert(&rule.id);
            }
        }
        write!(
            out,
            "\n## By technique\n\n{} techniques and sub-techniques of ATT&CK; a rule may name several.\n\n| technique | rules | which |\n|---|---|---|\n",
            by.len()
        )?;
        for (technique, rules) in by {
            let path = technique.replace('.', "/");
            writeln!(
                out,
                "| [{technique}](https://attack.mitre.org/techniques/{path}/) | {} | {} |",
                rules.len(),
                self.list(rules.iter().copied())
            )?;
        }
        Ok(())
    }

    fn sections(&self, out: &mut String, queries: &[Asked]) -> std::fmt::Result {
        out.push_str("\n## By section of the AKS security guide\n\nRules speak by themselves, queries when they are asked.\n\n| section | | rules | queries |\n|---|---|---|---|\n");
        let mut lists = String::new();
        for number in (1..).take(SECTIONS.len()) {
            let rules: Vec<&str> =
                self.rules.iter().filter(|r| r.section.contains(&number)).map(|r| r.id.as_str()).collect();
            let asked: Vec<String> = queries
                .iter()
                .filter(|query| query.section.contains(&number))
                .map(|query| format!("[{0}](../queries/{0}.sql)", query.id))
                .collect();
            let name = section(number);
            writeln!(out, "| {number} | {name} | {} | {} |", rules.len(), asked.len())?;
            write!(lists, "\n### {number} {name}\n\n")?;
            writeln!(lists, "Rules ({}): {}\n", rules.len(), self.list(rules.iter().copied()))?;
            writeln!(lists, "Queries ({}): {}", asked.len(), asked.join(", "))?;
        }
        out.push_str(&lists);
        Ok(())
    }

    fn categories(&self, out: &mut String) -> std::fmt::Result {
        out.push_str(
            "\n## What the rules need\n\nA rule needs one of the log categories named with it and is blind without all of them. `rules coverage PATH...` and\n\
             `replay` say which rules are blind on given logs.\n\n| needs | rules | blind without it |\n|---|---|---|\n",
        );
        let mut by: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for rule in self.rules {
            by.entry(needs(rule)).or_default().push(&rule.id);
        }
        for (need, rules) in by {
            writeln!(out, "| {} | {} | {} |", cell(&need), rules.len(), self.list(rules.iter().copied()))?;
        }
        Ok(())
    }

    fn peers(&self, out: &mut String, compared: &Compared<'_>) -> std::fmt::Result {
        let (held, all) = compared.detections();
        write!(
            out,
            "\n## What other products detect\n\n\
             Rules of other products on Kubernetes audit logs and what takes their place here, from\n\
             [detections/peers.csv](../detections/peers.csv); a rule is covered when every detection named with it is there. A rule is out of\n\
             reach when no log of the control plane could show it.\n\n\
             **{} of {all}** detections that another product has.\n\n\
             | product | covered | of | partly | not covered | out of reach |\n|---|---|---|---|---|---|\n",
            held.len()
        )?;
        let names = compared.peers.names();
        for peer in &names {
            let count = compared.count(peer);
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                cell(peer),
                count.covered,
                count.reachable(),
                count.partly,
                count.missing,
                count.out_of_reach
            )?;
        }
        for peer in &names {
            write!(out, "\n### {peer}\n\n| rule | here | |\n|---|---|---|\n")?;
            for rule in compared.of(peer) {
                let state = compared.state(rule);
                let ours = match state {
                    State::OutOfReach => state.name().to_owned(),
                    State::Covered => self.list(rule.detections.iter().map(String::as_str)),
                    State::Partly | State::Missing => {
                        format!("{}: {}", state.name(), self.list(rule.detections.iter().map(String::as_str)))
                    }
                };
                writeln!(out, "| {} | {ours} | {} |", cell(&rule.rule), cell(&rule.note))?;
            }
        }
        Ok(())
    }
}
