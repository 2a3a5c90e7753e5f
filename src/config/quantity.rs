//! Kubernetes' notation of amounts (`k8s.io/apimachinery/pkg/api/resource`).

/// Endings of amounts, without exponents.
const SUFFIXES: [&str; 16] = [
    "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
];

/// A text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoQuantity {
    /// What is probably meant.
    pub(super) near: Option<String>,
}

impl NoQuantity {
    /// What to write.
    pub(super) fn help(&self) -> String {
        match &self.near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a quantity such as \"8\", \"500m\" or 16Gi".to_owned(),
        }
    }
}

/// Whether `text` is a quantity that is not negative.
pub(super) fn check(text: &str) -> Result<(), NoQuantity> {
    let (number, suffix) = parts(text);
    if is_number(number) && (SUFFIXES.contains(&suffix) || is_exponent(suffix)) {
        return Ok(());
    }
    Err(NoQuantity {
        near: is_number(number)
            .then(|| near(suffix))
            .flatten()
            .map(|suffix| format!("{number}{suffix}")),
    })
}

/// How much it is, for comparing; `None` of what is no quantity.
pub(super) fn value(text: &str) -> Option<f64> {
    check(text).ok()?;
    let (number, suffix) = parts(text);
    let number: f64 = number.parse().ok()?;
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(power) = binary.iter().position(|each| *each == suffix) {
        return Some(number * 1024_f64.powi(i32::try_from(power).ok()? + 1));
    }
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    if let Some(power) = decimal.iter().position(|each| *each == suffix) {
        return Some(number * 1000_f64.powi(i32::try_from(power).ok()? - 3));
    }
    let exponent: i32 = suffix.get(1..)?.parse().ok()?;
    Some(number * 10_f64.powi(exponent))
}

fn parts(text: &str) -> (&str, &str) {
    let is_part = |character: char| character.is_ascii_digit() || character == '.';
    text.split_at(text.find(|character| !is_part(character)).unwrap_or(text.len()))
}

fn is_number(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit()) && text.bytes().filter(|byte| *byte == b'.').count() <= 1
}

/// `e3`, `E-2`
fn is_exponent(suffix: &str) -> bool {
    let digits = suffix.strip_prefix(['e', 'E']).unwrap_or_default();
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `GB`, `gb` and `GiB` are what people write elsewhere.
fn near(suffix: &str) -> Option<&'static str> {
    let lower = suffix.trim().to_ascii_lowercase();
    let wanted = lower.strip_suffix('b').unwrap_or(&lower);
    let mut known = SUFFIXES
        .into_iter()
        .filter(|each| !matches!(*each, "" | "n" | "u" | "m"));
    known.find(|each| each.to_ascii_lowercase() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_amounts_can_be_compared() {
        for (less, more) in [
            ("500m", "1"),
            ("64Mi", "512Mi"),
            ("1G", "1Gi"),
            ("1e3", "2k"),
            ("999k", "1M"),
            ("5n", "1u"),
        ] {
            assert!(value(less) < value(more), "{less} {more}");
        }
        assert_eq!(value("1024Ki"), value("1Mi"));
        assert_eq!(value("x"), None);
    }

    #[test]
    fn test_amounts_are_known_and_slips_lead_to_them() {
        for right in ["8", "500m", "0.5", "16Gi", "1e3", "2E-1", "5E", ".5", "1."] {
            assert_eq!(check(right), Ok(()), "{right}");
        }
        for (wrong, near) in [
            ("2GB", Some("2G")),
            ("2 GiB", Some("2Gi")),
            ("64mb", Some("64M")),
            ("16gi", Some("16Gi")),
            ("two", None),
            ("", None),
            ("-1", None),
            ("1.2.3", None),
            ("5x", None),
        ] {
            let fault = check(wrong).unwrap_err();
            assert_eq!(fault.near.as_deref(), near, "{wrong}");
        }
    }
}
