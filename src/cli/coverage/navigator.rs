//! Coverage as a layer of the ATT&CK Navigator, form 4.5: a score for each technique the rules name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Facts;

/// From the fewest rules to the most.
const COLOURS: [&str; 3] = ["#dbeafe", "#60a5fa", "#1d4ed8"];

/// The layer. A technique's score is how many rules name it, its comment which; a technique of which only
/// sub-techniques are named has no score and is there to be unfolded.
pub(super) fn layer(rules: &[Facts]) -> Value {
    let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in rules {
        for technique in rule.attack.iter().collect::<BTreeSet<_>>() {
            named.entry(technique).or_default().push(&rule.id);
        }
    }
    let parents: BTreeSet<&str> = named.keys().filter_map(|id| id.split_once('.')).map(|p| p.0).collect();
    let mut techniques: BTreeMap<&str, Value> = BTreeMap::new();
    for parent in &parents {
        techniques.insert(parent, json!({"techniqueID": parent, "showSubtechniques": true}));
    }
    for (id, rules) in &named {
        let technique = json!({
            "techniqueID": id,
            "score": rules.len(),
            "comment": rules.join(", "),
            "enabled": true,
            "showSubtechniques": parents.contains(id),
        });
        techniques.insert(id, technique);
    }
    let most = named.values().map(Vec::len).max().unwrap_or(0).max(2);
    json!({
        "name": "aksentry detections",
        "versions": {"attack": "18", "navigator": "5.2.0", "layer": "4.5"},
        "domain": "enterprise-attack",
        "description": format!(
            "{} detections over the logs of the AKS control plane, shadow ones included. A technique's \
             score is how many of them name it. Shown are the techniques of the platform Containers; \
             take the filter away for all.",
            rules.len()
        ),
        "filters": {"platforms": ["Containers"]},
        "sorting": 3,
        "layout": {
            "layout": "side",
            "showID": true,
            "showName": true,
            "showAggregateScores": true,
            "countUnscored": false,
            "aggregateFunction": "sum",
            "expandedSubtechniques": "annotated",
        },
        "hideDisabled": false,
        "techniques": techniques.into_values().collect::<Vec<_>>(),
        "gradient": {"colors": COLOURS, "minValue": 1, "maxValue": most},
        "legendItems": [
            {"label": "1 detection", "color": COLOURS[0]},
            {"label": format!("{most} detections"), "color": COLOURS[2]},
        ],
        "showTacticRowBackground": false,
        "selectTechniquesAcrossTactics": true,
        "selectSubtechniquesWithParent": false,
        "selectVisibleTechniques": false,
        "metadata": [],
        "links": [],
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn a_technique_is_scored_by_its_rules() {
        let layer = layer(&[
            facts("a", &["T1552.007", "T1078"]),
            facts("b", &["T1552.007", "T1552.007"]),
            facts("c", &["T1611"]),
        ]);
        let technique = |id: &str| {
            let all = layer["techniques"].as_array().unwrap();
            all.iter().find(|t| t["techniqueID"] == id).unwrap_or_else(|| panic!("{id}"))
        };
        assert_eq!(technique("T1552.007")["score"], 2);
        assert_eq!(technique("T1552.007")["comment"], "a, b");
        assert_eq!(technique("T1552"), &json!({"techniqueID": "T1552", "showSubtechniques": true}));
        assert_eq!(technique("T1611")["showSubtechniques"], false);
        assert_eq!(layer["techniques"].as_array().unwrap().len(), 4);
        assert_eq!(layer["gradient"]["maxValue"], 2);
    }

    #[test]
    fn a_layer_of_no_rules_is_a_layer() {
        let layer = layer(&[]);
        assert_eq!(layer["techniques"], json!([]));
        let gradient = &layer["gradient"];
        assert!(gradient["maxValue"].as_u64() > gradient["minValue"].as_u64());
    }
}
