//! How much an application may use.

use super::fields::{Findings, mapping};
use super::scalar::formed;
use crate::config::app::{ContainerDefaults, Quota, Resources};
use crate::config::tree::Node;

pub(super) fn quota(node: &Node, findings: &mut Findings<'_>) -> Option<Quota> {
    mapping(node, findings, |fields| {
        let cpu = fields.optional("cpu", quantity);
        let memory = fields.optional("memory", quantity);
        let storage = fields.optional("storage", quantity);
        Some(Quota { cpu, memory, storage })
    })
}

fn quantity(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    formed(
        node,
        findings,
        is_quantity,
        "a quantity such as \"8\", \"500m\" or 16Gi",
    )
}

/// Kubernetes' notation without exponents.
fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 13] = [
        "", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let number_end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    number.parse::<f64>().is_ok() && SUFFIXES.contains(&suffix)
}

/// Keys that are not there keep the platform's defaults; `request` or `limit` replaces its part as a whole.
pub(super) fn container_defaults(node: &Node, findings: &mut Findings<'_>) -> Option<ContainerDefaults> {
    mapping(node, findings, |fields| {
        let request = fields.optional("request", resources);
        let limit = fields.optional("limit", resources);
        let standard = ContainerDefaults::default();
        Some(ContainerDefaults {
            request: request.unwrap_or(standard.request),
            limit: limit.unwrap_or(standard.limit),
        })
    })
}

fn resources(node: &Node, findings: &mut Findings<'_>) -> Option<Resources> {
    mapping(node, findings, |fields| {
        let cpu = fields.optional("cpu", quantity);
        let memory = fields.optional("memory", quantity);
        Some(Resources { cpu, memory })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_quantities() {
        for right in ["8", "500m", "1.5", "16Gi", "200Ti"] {
            assert!(is_quantity(right), "{right}");
        }
        for wrong in ["", "Gi", "8 GB", "8GB", "-1", "1..5"] {
            assert!(!is_quantity(wrong), "{wrong}");
        }
    }
}
