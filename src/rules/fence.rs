//! The fence: the comment lines at the top of a file that hold TOML.
//!
//! Splits a file into the TOML text and the SQL, both with a way back to lines and columns of the
//! file. What the keys mean is decided in `header`.

/// A file taken apart. Positions are 1-based; columns count characters.
#[derive(Debug)]
pub(super) struct Fence {
    /// The header's TOML, one line per line between the fences.
    pub toml: String,
    /// For each line of `toml`: where it begins there, its line in the file, characters before it.
    lines: Vec<(usize, usize, usize)>,
    /// The file with every line up to the closing fence blanked.
    pub sql: String,
    /// Line of the opening fence.
    pub opening: (usize, usize),
    /// Line of the closing fence.
    pub closing: (usize, usize),
}

const CLOSING: &str = "-- ///";

/// A position and what to do there.
pub(super) type Problem = ((usize, usize), String);

impl Fence {
    /// Finds the header of the given kind (`detection`) at the top of `text`.
    pub fn split(text: &str, kind: &str) -> Result<Fence, Problem> {
        let opening_line = format!("{CLOSING} {kind}");
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text.split('\n').enumerate().map(|(at, line)| (at + 1, line));
        let begin =
            |at: usize| ((at, 1), format!("no header; begin the file with the line \"{opening_line}\""));
        let opening = match lines.by_ref().find(|(_, line)| !line.trim().is_empty()) {
            Some((at, line)) if same_words(line, &opening_line) => (at, 1),
            Some((at, _)) => return Err(begin(at)),
            None => return Err(begin(1)),
        };
        let mut fence =
            Fence { toml: String::new(), lines: Vec::new(), sql: String::new(), opening, closing: opening };
        for (at, line) in lines.by_ref() {
            if same_words(line, CLOSING) {
                fence.closing = (at, 1);
                fence.sql = blanked(text, at);
                return Ok(fence);
            }
            let line = line.strip_suffix('\r').unwrap_or(line);
            let indented = line.trim_start();
            let content = match indented.strip_prefix("--") {
                Some(content) => content.strip_prefix(' ').unwrap_or(content),
                None if indented.is_empty() => indented,
                None => {
                    let closed = text.split('\n').skip(at).any(|line| same_words(line, CLOSING));
                    let message = if closed {
                        "header line without \"--\"; put \"-- \" before it"
                    } else {
                        "the header is not closed; write the line \"-- ///\" behind its last key"
                    };
                    return Err(((at, 1), message.to_string()));
                }
            };
            fence.lines.push((fence.toml.len(), at, line.chars().count() - content.chars().count()));
            fence.toml.push_str(content);
            fence.toml.push('\n');
        }
        Err((opening, "the header is not closed; write the line \"-- ///\" behind its last key".to_string()))
    }

    /// The place in the file of a byte offset of the TOML text.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let at = self.lines.partition_point(|(start, ..)| *start <= offset).saturating_sub(1);
        let Some((start, line, before)) = self.lines.get(at).copied() else { return self.opening };
        let text = self.toml.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        let inside = text.char_indices().take_while(|(index, _)| start + index < offset).count();
        (line, before + inside + 1)
    }

    /// The place of the statement's first word: behind blank lines and comments.
    pub fn statement(&self) -> Option<(usize, usize)> {
        let mut inside_comment = false;
        for (at, line) in self.sql.split('\n').enumerate() {
            let mut rest = line;
            loop {
                if inside_comment {
                    let Some((_, behind)) = rest.split_once("*/") else { break };
                    rest = behind;
                    inside_comment = false;
                }
                rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
                match rest.strip_prefix("/*") {
                    Some(behind) => {
                        rest = behind;
                        inside_comment = true;
                    }
                    None if rest.is_empty() || rest.starts_with("--") => break,
                    None => return Some((at + 1, line.chars().count() - rest.chars().count() + 1)),
                }
            }
        }
        None
    }
}

/// Whether a line is a fence, however it is spaced.
fn same_words(line: &str, fence: &str) -> bool {
    line.split_whitespace().eq(fence.split_whitespace())
}

/// The text with its first `count` lines emptied.
fn blanked(text: &str, count: usize) -> String {
    let mut rest = text;
    for _ in 0..count {
        rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
    }
    let mut sql = "\n".repeat(count);
    sql.push_str(rest);
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Result<Fence, Problem> {
        Fence::split(text, "detection")
    }

    #[test]
    fn positions_lead_back_to_the_file() -> Result<(), Problem> {
        let text = "\u{feff}\n-- /// detection\r\n-- a = \"é\" # x\r\n--b = 2\r\n--\r\n  -- c = 3\r\n\r\n-- ///\r\n\r\n  SELECT 1\r\n";
        let fence = split(text)?;
        assert_eq!(fence.toml, "a = \"é\" # x\nb = 2\n\nc = 3\n\n");
        let at = |needle: &str| fence.position(fence.toml.find(needle).unwrap_or_default());
        assert_eq!(at("a ="), (3, 4));
        assert_eq!(at("# x"), (3, 12));
        assert_eq!(at("b ="), (4, 3));
        assert_eq!(at("c ="), (6, 6));
        assert_eq!(at("3"), (6, 10));
        assert_eq!(fence.position(usize::MAX), (7, 1));
        assert_eq!((fence.opening, fence.closing), ((2, 1), (8, 1)));
        assert_eq!(fence.sql, "\n\n\n\n\n\n\n\n\r\n  SELECT 1\r\n");
        assert_eq!(fence.statement(), Some((10, 3)));
        Ok(())
    }

    #[test]
    fn a_statement_is_neither_blank_nor_a_comment() -> Result<(), Problem> {
        let at = |sql: &str| split(&format!("-- /// detection\n-- ///\n{sql}")).map(|f| f.statement());
        assert_eq!(at("")?, None);
        assert_eq!(at("-- nothing\n/* here\n-- */ -- x\n;\n")?, None);
        assert_eq!(at("/* a */ /* b\n*/ SELECT 1")?, Some((4, 4)));
        Ok(())
    }

    #[test]
    fn what_is_no_header() {
        let problem = |text: &str| split(text).err().unwrap_or_default();
        let begin = "no header; begin the file with the line \"-- /// detection\"";
        assert_eq!(problem(""), ((1, 1), begin.to_string()));
        assert_eq!(problem("\n\nSELECT 1"), ((3, 1), begin.to_string()));
        assert_eq!(problem("-- /// query\n-- ///\nSELECT 1"), ((1, 1), begin.to_string()));
        let open = "the header is not closed; write the line \"-- ///\" behind its last key";
        assert_eq!(problem("-- /// detection\n-- a = 1"), ((1, 1), open.to_string()));
        assert_eq!(problem("-- /// detection\n-- a = 1\nSELECT 1"), ((3, 1), open.to_string()));
        let naked = problem("-- /// detection\na = 1\n-- ///\nSELECT 1");
        assert_eq!(naked, ((2, 1), "header line without \"--\"; put \"-- \" before it".to_string()));
    }
}
