//! How much an application may use.

use super::fields::{Findings, mapping};
use super::scalar::text;
use crate::config::app::{ContainerDefaults, Quota, Resources};
use crate::config::quantity;
use crate::config::tree::Node;
use crate::diag::{Certainty, Code};

pub(super) fn quota(node: &Node, findings: &mut Findings<'_>) -> Option<Quota> {
    mapping(node, findings, |fields| {
        let cpu = fields.optional("cpu", quantity);
        let memory = fields.optional("memory", quantity);
        let storage = fields.optional("storage", quantity);
        Some(Quota { cpu, memory, storage })
    })
}

fn quantity(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let written = text(node, findings)?;
    let Err(fault) = quantity::check(&written) else {
        return Some(written);
    };
    let message = format!("`{written}` is not a quantity such as \"8\", \"500m\" or 16Gi");
    let diagnostic = findings.report(Code::Malformed, node.span, message);
    if let Some(near) = fault.near {
        diagnostic.help = Some(format!("did you mean `{near}`?"));
        diagnostic.mend(near, Certainty::Guess);
    }
    None
}

/// Keys that are not there keep the platform's defaults; `request` or `limit` replaces its part as a whole.
pub(super) fn container_defaults(node: &Node, findings: &mut Findings<'_>) -> Option<ContainerDefaults> {
    mapping(node, findings, |fields| {
        let request = fields.optional("request", resources);
        let limit = fields.optional("limit", resources);
        let standard = ContainerDefaults::default();
        let defaults = ContainerDefaults {
            request: request.unwrap_or(standard.request),
            limit: limit.unwrap_or(standard.limit),
        };
        for (name, request, limit) in [
            ("cpu", &defaults.request.cpu, &defaults.limit.cpu),
            ("memory", &defaults.request.memory, &defaults.limit.memory),
        ] {
            if let (Some(request), Some(limit)) = (request, limit)
                && quantity::value(request) > quantity::value(limit)
            {
                let message =
                    format!("containers would request {request} of {name}, and their limit is {limit}");
                fields.findings.report(Code::Malformed, node.span, message).help =
                    Some(format!("set `limit: {{{name}: ...}}` to at least {request}"));
            }
        }
        Some(defaults)
    })
}

fn resources(node: &Node, findings: &mut Findings<'_>) -> Option<Resources> {
    mapping(node, findings, |fields| {
        let cpu = fields.optional("cpu", quantity);
        let memory = fields.optional("memory", quantity);
        Some(Resources { cpu, memory })
    })
}
