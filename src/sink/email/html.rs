//! The HTML part of a mail. Styles are inline, because that is what mail programs keep; there is nothing to
//! load; and no ground or text colour is set but on labels with both, so that light and dark programs
//! each show it in their own.

use std::fmt::Write as _;

use crate::alert::Severity;

use super::facts::ATTACK;
use super::facts::Facts;
use super::facts::Row;
use super::facts::is_technique;
use super::message::Content;
use super::message::Digest;

const FONT: &str = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const MONO: &str = "font-family:ui-monospace,'Cascadia Mono',Consolas,Menlo,monospace";
/// Reads on white and on black.
const QUIET: &str = "color:#808080";
const LINE: &str = "border-top:1px solid #80808055";

/// Ground of the label; white on it can be read.
fn colour(severity: &str) -> &'static str {
    match severity.parse() {
        Ok(Severity::Critical) => "#a4001d",
        Ok(Severity::High) => "#c2410c",
        Ok(Severity::Medium) => "#8a6100",
        Ok(Severity::Low) => "#1d5fa8",
        Ok(Severity::Informational) | Err(_) => "#5b6470",
    }
}

/// Writes the whole part. Writing to a string does not fail, so results are not looked at.
pub fn render(content: &Content<'_>) -> String {
    let mut out = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"supported-color-schemes\" content=\"light dark\">\
         <style>:root{color-scheme:light dark}</style></head>\n",
    );
    let _ = writeln!(
        out,
        "<body style=\"margin:0;padding:16px;{FONT};font-size:15px;line-height:1.45\">\n\
         <div style=\"max-width:760px;margin:0 auto\">"
    );
    if let Some(digest) = &content.digest {
        overview(&mut out, digest, content.details.len());
    }
    for (severity, facts) in &content.details {
        alert(&mut out, severity, facts, if content.digest.is_some() { "36px" } else { "0" });
    }
    let _ = writeln!(
        out,
        "<p style=\"{QUIET};font-size:12px;{LINE};padding-top:8px;margin-top:28px\">aksentry; the times are UTC.</p>\n\
         </div></body></html>"
    );
    out
}

fn overview(out: &mut String, digest: &Digest, detailed: usize) {
    let _ = write!(
        out,
        "<h1 style=\"font-size:20px;margin:0 0 12px\">{}</h1>\n{TABLE}",
        Escaped(&digest.headline)
    );
    for line in &digest.lines {
        let cell = format!("{LINE};padding:8px 10px 8px 0;vertical-align:top");
        let _ = writeln!(
            out,
            "<tr><td style=\"{cell};white-space:nowrap\">{}</td>\
             <td style=\"{cell};width:100%\"><b>{}</b><br>{}<br>\
             <span style=\"{QUIET};font-size:13px\">{} &nbsp; {}</span></td></tr>",
            label(&line.severity),
            Escaped(&line.title),
            Breakable(&line.summary),
            Escaped(&line.time),
            Escaped(&line.cluster),
        );
    }
    out.push_str("</table>\n");
    if digest.without_details > 0 {
        let _ = writeln!(out, "<p style=\"{QUIET}\">Details of the first {detailed} follow.</p>");
    }
}

const TABLE: &str = "<table role=\"presentation\" cellspacing=\"0\" cellpadding=\"0\" style=\"border-collapse:collapse;width:100%\">\n";

fn alert(out: &mut String, severity: &str, facts: &Facts, space_above: &str) {
    let _ = write!(
        out,
        "<div style=\"margin-top:{space_above};border-left:4px solid {};padding-left:16px\">\n<div>{}",
        colour(severity),
        label(severity)
    );
    for mark in &facts.marks {
        let _ = write!(out, " {}", badge(mark, "#4c1d95"));
    }
    let _ = writeln!(
        out,
        "</div>\n<h2 style=\"font-size:19px;line-height:1.3;margin:8px 0 6px\">{}</h2>\n\
         <p style=\"font-size:16px;margin:0 0 14px;overflow-wrap:anywhere\">{}</p>",
        Escaped(&facts.title),
        Breakable(&facts.summary)
    );
    rows(out, &facts.rows, &facts.attack);
    if !facts.evidence.is_empty() {
        heading(out, "Evidence");
        rows(out, &facts.evidence, &[]);
    }
    if !facts.steps.is_empty() {
        heading(out, "What to do");
        for step in &facts.steps {
            let _ = writeln!(
                out,
                "<p style=\"margin:8px 0 4px\">{}:</p>\n<pre style=\"{MONO};font-size:12.5px;line-height:1.4;\
                 white-space:pre-wrap;overflow-wrap:anywhere;margin:0;padding:10px 12px;border:1px solid #80808055;\
                 border-radius:4px;background:#8080801a\">{}</pre>",
                Escaped(&step.shows),
                Escaped(&step.command)
            );
        }
        let _ = writeln!(
            out,
            "<p style=\"{QUIET};font-size:12px;margin:6px 0 0\">PATH is where your logs are archived: a folder, or \
             az://CONTAINER/PREFIX.</p>"
        );
    }
    out.push_str("</div>\n");
}

fn heading(out: &mut String, text: &str) {
    let _ = writeln!(
        out,
        "<h3 style=\"{QUIET};font-size:12px;letter-spacing:.06em;text-transform:uppercase;margin:18px 0 6px\">{}</h3>",
        Escaped(text)
    );
}

fn rows(out: &mut String, rows: &[Row], attack: &[String]) {
    out.push_str(TABLE);
    for (name, value) in rows {
        let value = if name == ATTACK { links(attack) } else { Breakable(value).to_string() };
        let _ = writeln!(
            out,
            "<tr><td style=\"{LINE};{QUIET};padding:5px 14px 5px 0;vertical-align:top;white-space:nowrap\">{}</td>\
             <td style=\"{LINE};padding:5px 0;vertical-align:top;width:100%;overflow-wrap:anywhere\">{value}</td></tr>",
            Escaped(name)
        );
    }
    out.push_str("</table>\n");
}

/// Links to the techniques' pages: followed by a reader, never loaded by the mail.
fn links(techniques: &[String]) -> String {
    let link = |id: &String| {
        if !is_technique(id) {
            return Escaped(id).to_string();
        }
        let page = id.replace('.', "/");
        format!("<a href=\"https://attack.mitre.org/techniques/{page}/\" style=\"color:inherit\">{id}</a>")
    };
    techniques.iter().map(link).collect::<Vec<_>>().join(", ")
}

fn label(severity: &str) -> String {
    badge(&severity.to_uppercase(), colour(severity))
}

fn badge(text: &str, ground: &str) -> String {
    format!(
        "<span style=\"display:inline-block;background:{ground};color:#ffffff;font-size:12px;font-weight:700;\
         letter-spacing:.04em;padding:2px 8px;border-radius:3px\">{}</span>",
        Escaped(text)
    )
}

/// Text with everything escaped that means something in HTML.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The same with places to break at in long names, for programs that know no `overflow-wrap`.
struct Breakable<'a>(&'a str);

impl std::fmt::Display for Breakable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for piece in self.0.split_inclusive(['/', ':']) {
            write!(f, "{}", Escaped(piece))?;
            if piece.ends_with(['/', ':']) {
                f.write_str("<wbr>")?;
            }
        }
        Ok(())
    }
}
