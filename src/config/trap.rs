//! Unquoted texts that readers of YAML disagree about.
//!
//! lotse reads scalars as kubectl does. Other readers follow YAML 1.1 to the letter (Python's, Ruby's) or YAML 1.2, so
//! that the same line is a text for one and a number or a boolean for another.

/// What others make of the unquoted scalar `written`, in words; nothing where all agree on the kind of value.
pub(super) fn reading(written: &str) -> Option<String> {
    if written.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-')) {
        return based(written)
            .or_else(|| sexagesimal(written))
            .or_else(|| underscored(written));
    }
    (written.len() <= "off".len()).then(|| boolean(written)).flatten()
}

fn boolean(written: &str) -> Option<String> {
    let is_cased_well = [
        written.to_lowercase(),
        written.to_uppercase(),
        capitalised(written),
    ]
    .iter()
    .any(|form| form == written);
    let value = match written.to_lowercase().as_str() {
        "y" | "yes" | "on" => "true",
        "n" | "no" | "off" => "false",
        _ => return None,
    };
    is_cased_well.then(|| format!("YAML 1.1 readers take `{written}` for the boolean `{value}`"))
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters.flat_map(char::to_lowercase)).collect()
}

/// Octal and binary numbers, and digits that only look like them.
fn based(written: &str) -> Option<String> {
    let digits = written.trim_start_matches(['+', '-']);
    let number = |digits: &str, base| u64::from_str_radix(&digits.replace('_', ""), base).ok();
    if let Some(value) = digits.strip_prefix("0o").and_then(|rest| number(rest, 8)) {
        return Some(format!(
            "YAML 1.2 readers take `{written}` for the number {value}, others for a text"
        ));
    }
    if let Some(value) = digits.strip_prefix("0b").and_then(|rest| number(rest, 2)) {
        return Some(format!(
            "YAML 1.1 readers take `{written}` for the number {value}, others for a text"
        ));
    }
    let rest = digits.strip_prefix('0').filter(|rest| !rest.is_empty())?;
    if !rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        return None;
    }
    Some(match (number(rest, 8), number(rest, 10)) {
        (Some(octal), Some(decimal)) => {
            format!("YAML 1.1 readers take `{written}` for the number {octal} (octal), others for {decimal}")
        }
        _ => format!("some readers take `{written}` for a number, others for a text"),
    })
}

/// `1:30` is 90 in YAML 1.1.
fn sexagesimal(written: &str) -> Option<String> {
    let mut parts = written.trim_start_matches(['+', '-']).split(':');
    let first = parts.next()?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut value: u64 = first
        .parse()
        .ok()
        .filter(|_| is_number(first) && !first.starts_with('0'))?;
    let mut count = 0;
    for part in parts {
        let digit: u64 = part
            .parse()
            .ok()
            .filter(|digit| is_number(part) && part.len() < 3 && *digit < 60)?;
        value = value.checked_mul(60)?.checked_add(digit)?;
        count += 1;
    }
    (count > 0).then(|| format!("YAML 1.1 readers take `{written}` for the number {value} (base 60)"))
}

fn underscored(written: &str) -> Option<String> {
    let digits = written.trim_start_matches(['+', '-']);
    let is_right = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.contains('_')
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    is_right.then(|| {
        let value = digits.replace('_', "");
        format!("YAML 1.1 readers take `{written}` for the number {value}, others for a text")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_what_readers_disagree_about() {
        for (written, part) in [
            ("no", "boolean `false`"),
            ("On", "boolean `true`"),
            ("Y", "boolean `true`"),
            ("0755", "number 493 (octal), others for 755"),
            ("08", "a number, others for a text"),
            ("0o17", "number 15"),
            ("0b101", "number 5"),
            ("1:30", "number 90 (base 60)"),
            ("1_000", "number 1000"),
        ] {
            let reading = reading(written).unwrap_or_default();
            assert!(reading.contains(part), "{written}: {reading}");
        }
    }

    #[test]
    fn test_what_readers_agree_about() {
        for written in [
            "",
            "nO",
            "yEs",
            "true",
            "0",
            "1.20",
            "8",
            "0.5",
            "2027-03-31",
            "www",
            "north",
            "1:75",
            "01:30",
            "a:b",
            "10.0.0.1",
            "::1",
            "v1",
            "_",
            "1e3",
            "~",
        ] {
            assert_eq!(reading(written), None, "{written}");
        }
    }
}
