//! Modifiers behind a field's name: what they ask for, and what they make of values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::pattern::Pattern;
use crate::rules::closest;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Regex,
    Cidr,
    /// `<`, `<=`, `>`, `>=`.
    Order(&'static str),
    FieldRef,
    Exists,
    /// A list of ours named by `%placeholder%`.
    Listed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Wide,
    WideBig,
    WideMarked,
    Base64,
    Base64Offset,
    Windash,
    StartsWith,
    EndsWith,
    Contains,
}

/// The modifiers of one field, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Modifiers {
    pub operator: Operator,
    pub all: bool,
    pub cased: bool,
    pub negated: bool,
    /// Flags of a regular expression: some of `i`, `m`, `s`.
    pub flags: String,
    /// Part of a time: `hour`.
    pub part: Option<&'static str>,
    changes: Vec<Change>,
}

/// Every modifier there is.
const KNOWN: &[&str] = &[
    "all",
    "startswith",
    "endswith",
    "contains",
    "exists",
    "cased",
    "neq",
    "windash",
    "re",
    "i",
    "ignorecase",
    "m",
    "multiline",
    "s",
    "dotall",
    "base64",
    "base64offset",
    "utf16le",
    "utf16be",
    "utf16",
    "wide",
    "lt",
    "lte",
    "gt",
    "gte",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "cidr",
    "expand",
    "fieldref",
];

/// Dashes that programs take for each other.
const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];
/// Values that one value may become.
const MAX_VARIANTS: usize = 125;

impl Modifiers {
    /// Reads the words behind a field's name.
    pub fn parse(words: &[&str]) -> Result<Modifiers, String> {
        let mut found = Modifiers {
            operator: Operator::Equal,
            all: false,
            cased: false,
            negated: false,
            flags: String::new(),
            part: None,
            changes: Vec::new(),
        };
        for word in words {
            let word = word.trim();
            let operator = match word {
                "all" => {
                    found.all = true;
                    continue;
                }
                "cased" => {
                    found.cased = true;
                    continue;
                }
                "neq" => {
                    found.negated = true;
                    continue;
                }
                "i" | "ignorecase" | "m" | "multiline" | "s" | "dotall" => {
                    if found.operator != Operator::Regex {
                        return Err(format!("modifier \"{word}\" belongs behind re; write re|{word}"));
                    }
                    found.flags.push(match word {
                        "i" | "ignorecase" => 'i',
                        "m" | "multiline" => 'm',
                        _ => 's',
                    });
                    continue;
                }
                "minute" | "hour" | "day" | "week" | "month" | "year" => {
                    found.part =
                        ["minute", "hour", "day", "week", "month", "year"].into_iter().find(|p| *p == word);
                    continue;
                }
                "re" => Operator::Regex,
                "cidr" => Operator::Cidr,
                "lt" => Operator::Order("<"),
                "lte" => Operator::Order("<="),
                "gt" => Operator::Order(">"),
                "gte" => Operator::Order(">="),
                "fieldref" => Operator::FieldRef,
                "exists" => Operator::Exists,
                "expand" => Operator::Listed,
                _ => {
                    found.changes.push(change(word)?);
                    continue;
                }
            };
            if found.operator != Operator::Equal {
                return Err(format!("modifier \"{word}\" beside another that says how to compare; keep one"));
            }
            found.operator = operator;
        }
        found.together(words)
    }

    /// What modifiers demand of each other.
    fn together(self, words: &[&str]) -> Result<Modifiers, String> {
        let chain = words.join("|");
        let affix =
            |change: &Change| matches!(change, Change::StartsWith | Change::EndsWith | Change::Contains);
        let allowed = match self.operator {
            Operator::Equal => true,
            Operator::FieldRef => self.changes.iter().all(affix) && self.changes.len() <= 1,
            _ => self.changes.is_empty(),
        };
        if !allowed {
            return Err(format!("the modifiers {chain} have no meaning together; keep one way to compare"));
        }
        if self.part.is_some()
            && (!matches!(self.operator, Operator::Equal | Operator::Order(_)) || !self.changes.is_empty())
        {
            return Err(format!(
                "the modifiers {chain} have no meaning together; a part of a time is a number"
            ));
        }
        let wide = |change: &Change| matches!(change, Change::Wide | Change::WideBig | Change::WideMarked);
        for (at, change) in self.changes.iter().enumerate() {
            let next = self.changes.get(at + 1);
            if wide(change) && !matches!(next, Some(Change::Base64 | Change::Base64Offset)) {
                return Err(format!(
                    "in {chain}: UTF-16 is never in a log as it is; put base64 or base64offset behind it"
                ));
            }
        }
        Ok(self)
    }

    /// Whether the other field of a `fieldref` stands at the start, at the end, or anywhere.
    pub fn reference(&self) -> Option<&'static str> {
        match self.changes.first() {
            Some(Change::StartsWith) => Some("starts_with"),
            Some(Change::EndsWith) => Some("ends_with"),
            Some(Change::Contains) => Some("contains"),
            _ => None,
        }
    }

    /// What becomes of one value: the texts it may be.
    pub fn patterns(&self, value: &str) -> Result<Vec<Pattern>, String> {
        let mut texts = vec![Text::Pattern(Pattern::parse(value))];
        for change in &self.changes {
            let mut changed = Vec::new();
            for text in texts {
                changed.extend(text.change(*change)?);
            }
            texts = changed;
        }
        let pattern = |text| match text {
            Text::Pattern(pattern) => Ok(pattern),
            Text::Bytes(_) => Err("UTF-16 without base64 behind it".to_owned()),
        };
        texts.into_iter().map(pattern).collect()
    }
}

fn change(word: &str) -> Result<Change, String> {
    Ok(match word {
        "startswith" => Change::StartsWith,
        "endswith" => Change::EndsWith,
        "contains" => Change::Contains,
        "windash" => Change::Windash,
        "base64" => Change::Base64,
        "base64offset" => Change::Base64Offset,
        "wide" | "utf16le" => Change::Wide,
        "utf16be" => Change::WideBig,
        "utf16" => Change::WideMarked,
        "" => return Err("an empty modifier; remove one \"|\"".into()),
        _ => {
            let hint = closest(word, KNOWN.iter().copied());
            let hint = hint.map_or("; docs/sigma.md lists those there are".into(), |m| {
                format!("; did you mean \"{m}\"?")
            });
            return Err(format!("modifier \"{word}\" is not supported{hint}"));
        }
    })
}

/// A value on its way through the modifiers.
enum Text {
    Pattern(Pattern),
    Bytes(Vec<u8>),
}

impl Text {
    fn change(self, change: Change) -> Result<Vec<Text>, String> {
        let pattern = |pattern| Ok(vec![Text::Pattern(pattern)]);
        match (change, self) {
            (Change::StartsWith, Text::Pattern(text)) => pattern(text.loosen(false, true)),
            (Change::EndsWith, Text::Pattern(text)) => pattern(text.loosen(true, false)),
            (Change::Contains, Text::Pattern(text)) => pattern(text.loosen(true, true)),
            (Change::Windash, Text::Pattern(text)) => {
                let variants = windash(&plain(&text, "windash")?)?;
                Ok(variants.iter().map(|text| Text::Pattern(Pattern::exact(text))).collect())
            }
            (Change::Base64, text) => pattern(Pattern::exact(&STANDARD.encode(text.bytes("base64")?))),
            (Change::Base64Offset, text) => {
                let shifted = offsets(&text.bytes("base64offset")?);
                Ok(shifted.iter().map(|text| Text::Pattern(Pattern::exact(text))).collect())
            }
            (Change::Wide | Change::WideBig | Change::WideMarked, Text::Pattern(text)) => {
                let text = plain(&text, "UTF-16")?;
                let mark = if change == Change::WideMarked { vec![0xff, 0xfe] } else { Vec::new() };
                let bytes = |unit: u16| match change {
                    Change::WideBig => unit.to_be_bytes(),
                    _ => unit.to_le_bytes(),
                };
                Ok(vec![Text::Bytes(mark.into_iter().chain(text.encode_utf16().flat_map(bytes)).collect())])
            }
            (_, Text::Bytes(_)) => Err("UTF-16 must be followed by base64 or base64offset".into()),
        }
    }

    fn bytes(self, what: &str) -> Result<Vec<u8>, String> {
        match self {
            Text::Bytes(bytes) => Ok(bytes),
            Text::Pattern(pattern) => Ok(plain(&pattern, what)?.into_bytes()),
        }
    }
}

fn plain(pattern: &Pattern, what: &str) -> Result<String, String> {
    let text = pattern.plain();
    text.ok_or_else(|| {
        format!("a wildcard in a value for {what}; write the text alone, with \\ before * and ?")
    })
}

/// What a text looks like inside of Base64 at each of the three offsets, without what its neighbours decide.
fn offsets(bytes: &[u8]) -> Vec<String> {
    let encoded = |offset: usize| {
        let shifted: Vec<u8> = std::iter::repeat_n(b' ', offset).chain(bytes.iter().copied()).collect();
        let text = STANDARD.encode(&shifted);
        let start = [0, 2, 3].get(offset).copied().unwrap_or(0);
        let end = text.len() - [0, 3, 2].get(shifted.len() % 3).copied().unwrap_or(0);
        text.get(start..end).unwrap_or_default().to_owned()
    };
    (0..3).map(encoded).filter(|text| !text.is_empty()).collect()
}

/// Every way to write a command line whose options begin with one dash or another.
fn windash(text: &str) -> Result<Vec<String>, String> {
    let chars: Vec<char> = text.chars().collect();
    let word = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let mut variants = vec![String::new()];
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let dash = DASHES.contains(c) && !word(before) && word(chars.get(at + 1));
        if !dash {
            variants.iter_mut().for_each(|text| text.push(*c));
            continue;
        }
        if variants.len() * DASHES.len() > MAX_VARIANTS {
            return Err("more than three dashes for windash; divide the value".into());
        }
        variants = variants.iter().flat_map(|text| DASHES.map(|dash| format!("{text}{dash}"))).collect();
    }
    Ok(variants)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str], value: &str) -> Vec<String> {
        let patterns = Modifiers::parse(words).unwrap().patterns(value).unwrap();
        patterns.iter().map(Pattern::like).collect()
    }

    #[test]
    fn values() {
        assert_eq!(texts(&["base64"], "foo"), ["Zm9v"]);
        assert_eq!(texts(&["base64offset", "contains"], "foobar"), ["%Zm9vYmFy%", "%Zvb2Jhc%", "%mb29iYX%"]);
        assert_eq!(texts(&["wide", "base64"], "cmd"), ["YwBtAGQA"]);
        assert_eq!(texts(&["utf16", "base64"], "a"), ["//5hAA=="]);
        assert_eq!(texts(&["windash", "contains"], " -f x-y").len(), 5);
        assert_eq!(texts(&["startswith"], r"a\*"), ["a*%"]);
    }

    #[test]
    fn offsets_are_found_in_any_surroundings() {
        for before in ["", "x", "yz", "uvw"] {
            for behind in ["", "1", "23"] {
                let whole = STANDARD.encode(format!("{before}secret-token{behind}"));
                assert!(offsets(b"secret-token").iter().any(|part| whole.contains(part.as_str())), "{whole}");
            }
        }
    }

    #[test]
    fn refused() {
        for words in [
            &["contians"][..],
            &["i"],
            &["re", "contains"],
            &["wide"],
            &["wide", "contains"],
            &["gt", "cidr"],
            &[""],
            &["hour", "re"],
            &["exists", "base64"],
        ] {
            assert!(Modifiers::parse(words).is_err(), "{words:?}");
        }
        let many = " -a -b -c -d";
        assert!(Modifiers::parse(&["windash"]).unwrap().patterns(many).is_err());
        assert!(Modifiers::parse(&["base64"]).unwrap().patterns("a*").is_err());
    }
}
