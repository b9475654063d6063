//! Natural order of paths: component by component, numbers by value, so `part-2` before `part-10`.

use std::cmp::Ordering;
use std::path::Path;

/// Compares whole paths component-wise; total, so sorting never depends on the input's order.
pub(super) fn compare(a: &Path, b: &Path) -> Ordering {
    let mut left = a.components();
    let mut right = b.components();
    loop {
        match (left.next(), right.next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => {
                let order = natural(x.as_os_str().as_encoded_bytes(), y.as_os_str().as_encoded_bytes());
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

fn natural(a: &[u8], b: &[u8]) -> Ordering {
    let (mut x, mut y) = (a, b);
    while let (Some(p), Some(q)) = (x.first(), y.first()) {
        let order = if p.is_ascii_digit() && q.is_ascii_digit() {
            let (m, rest_x) = number(x);
            let (n, rest_y) = number(y);
            (x, y) = (rest_x, rest_y);
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (x, y) = (x.get(1..).unwrap_or_default(), y.get(1..).unwrap_or_default());
            p.cmp(q)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    // Equal up to leading zeros: the plain order of bytes keeps it total.
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// The digits at the start without leading zeros, and what follows. No number type: names may hold
/// digits beyond any of them.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let (digits, rest) = text.split_at(text.iter().take_while(|b| b.is_ascii_digit()).count());
    (digits.split_at(digits.iter().take_while(|b| **b == b'0').count()).1, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_value_and_components_before_names() {
        let mut paths = [
            "a/part-10.json",
            "a/part-2.json",
            "a/part-02.json",
            "a b/part-1.json",
            "a/h=9/m=00/x",
            "a/h=10/m=00/x",
            "a",
            "a/99999999999999999999999999",
            "a/100000000000000000000000000",
        ];
        paths.sort_by(|a, b| compare(Path::new(a), Path::new(b)));
        assert_eq!(
            paths,
            [
                "a",
                "a/99999999999999999999999999",
                "a/100000000000000000000000000",
                "a/h=9/m=00/x",
                "a/h=10/m=00/x",
                "a/part-02.json",
                "a/part-2.json",
                "a/part-10.json",
                "a b/part-1.json",
            ]
        );
    }
}
