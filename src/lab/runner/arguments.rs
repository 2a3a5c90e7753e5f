//! A container's arguments, made fit for a process on loopback. Pure.
//!
//! What a Deployment says about behaviour stays; what says where a Pod listens, stores and finds its neighbours
//! is replaced, since there is no Pod.

use std::collections::BTreeMap;

use camino::Utf8Path;

use crate::lab::component::Component;

/// Where one controller and its neighbours listen and store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places<'path> {
    /// Port of its health endpoint.
    pub(super) health: u16,
    /// Port of its metrics.
    pub(super) metrics: u16,
    /// Port of the event receiver of the namespace's notification-controller.
    pub(super) events: u16,
    /// Port of the artifact server (source-controller) or of the webhook receiver (notification-controller).
    pub(super) service: u16,
    /// Folder for what the Pod would keep in a volume.
    pub(super) storage: &'path Utf8Path,
}

/// The arguments of `component`'s process.
pub(super) fn for_process(
    component: Component,
    arguments: &[String],
    variables: &BTreeMap<String, String>,
    places: &Places<'_>,
) -> Vec<String> {
    let replacements = replacements(component, places);
    let mut kept = without(arguments, &replacements);
    for argument in &mut kept {
        *argument = expand(argument, variables);
    }
    kept.extend(
        replacements
            .iter()
            .map(|(flag, value)| format!("--{flag}={value}")),
    );
    kept
}

/// Flags that only make sense in a Pod, with what they are here.
fn replacements(component: Component, places: &Places<'_>) -> Vec<(&'static str, String)> {
    let mut replacements = vec![
        ("enable-leader-election", "false".to_owned()),
        ("health-addr", local(places.health)),
        ("metrics-addr", local(places.metrics)),
    ];
    match component {
        Component::NotificationController => replacements.extend([
            ("events-addr", local(places.events)),
            ("receiverAddr", local(places.service)),
        ]),
        Component::SourceController => replacements.extend([
            ("events-addr", receiver(places)),
            ("storage-path", places.storage.to_string()),
            ("storage-addr", local(places.service)),
            ("storage-adv-addr", local(places.service)),
        ]),
        _ => replacements.push(("events-addr", receiver(places))),
    }
    replacements
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn receiver(places: &Places<'_>) -> String {
    format!("http://{}/", local(places.events))
}

/// The arguments without the flags that are replaced, written `--flag=value`, `--flag value` or, for the only
/// boolean among them, `--flag`.
fn without(arguments: &[String], replacements: &[(&'static str, String)]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (argument.as_str(), None),
        };
        let is_replaced = flag
            .strip_prefix("--")
            .is_some_and(|flag| replacements.iter().any(|(replaced, _)| *replaced == flag));
        if !is_replaced {
            kept.push(argument.clone());
        } else if value.is_none() && rest.peek().is_some_and(|next| !next.starts_with('-')) {
            rest.next();
        }
    }
    kept
}

/// Replaces `$(NAME)` as the kubelet does: unknown names stay as they are, `$$(NAME)` is a plain `$(NAME)`.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        let (taken, replacement) = reference(rest, variables);
        expanded.push_str(replacement);
        rest = &rest[taken..];
    }
    expanded.push_str(rest);
    expanded
}

/// How many bytes at the beginning of `text`, which begins with `$`, stand for what.
fn reference<'text>(text: &'text str, variables: &'text BTreeMap<String, String>) -> (usize, &'text str) {
    if text.starts_with("$$") {
        return (2, "$");
    }
    let name = text
        .strip_prefix("$(")
        .and_then(|inner| inner.split_once(')'))
        .map(|(name, _)| name);
    match name.and_then(|name| variables.get(name).map(|value| (name, value))) {
        Some((name, value)) => (name.len() + "$()".len(), value),
        None => (1, "$"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variables() -> BTreeMap<String, String> {
        BTreeMap::from([("RUNTIME_NAMESPACE".to_owned(), "flux-system".to_owned())])
    }

    fn places() -> Places<'static> {
        Places {
            health: 1,
            metrics: 2,
            events: 3,
            service: 4,
            storage: Utf8Path::new("/state/source"),
        }
    }

    fn rewritten(component: Component, arguments: &[&str]) -> Vec<String> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        for_process(component, &arguments, &variables(), &places())
    }

    #[test]
    fn test_behaviour_stays_and_places_are_replaced() {
        let arguments = rewritten(
            Component::SourceController,
            &[
                "--events-addr=http://notification-controller.flux-system.svc.cluster.local./",
                "--watch-all-namespaces",
                "--no-cross-namespace-refs=true",
                "--enable-leader-election",
                "--storage-path=/data",
                "--storage-adv-addr=source-controller.$(RUNTIME_NAMESPACE).svc.cluster.local.",
            ],
        );
        assert_eq!(
            arguments,
            [
                "--watch-all-namespaces",
                "--no-cross-namespace-refs=true",
                "--enable-leader-election=false",
                "--health-addr=127.0.0.1:1",
                "--metrics-addr=127.0.0.1:2",
                "--events-addr=http://127.0.0.1:3/",
                "--storage-path=/state/source",
                "--storage-addr=127.0.0.1:4",
                "--storage-adv-addr=127.0.0.1:4",
            ]
        );
    }

    #[test]
    fn test_receiver_listens_where_the_others_send() {
        let arguments = rewritten(Component::NotificationController, &[]);
        assert!(arguments.contains(&"--events-addr=127.0.0.1:3".to_owned()));
        let others = rewritten(Component::KustomizeController, &[]);
        assert!(others.contains(&"--events-addr=http://127.0.0.1:3/".to_owned()));
    }

    #[test]
    fn test_value_in_its_own_argument_goes_with_its_flag() {
        let arguments = rewritten(
            Component::HelmController,
            &[
                "--health-addr",
                ":9440",
                "--enable-leader-election",
                "--log-level",
                "debug",
            ],
        );
        assert_eq!(arguments[..2], ["--log-level", "debug"]);
    }

    #[test]
    fn test_variables_are_expanded_as_the_kubelet_does() {
        for (text, expected) in [
            ("--ns=$(RUNTIME_NAMESPACE)", "--ns=flux-system"),
            (
                "$(RUNTIME_NAMESPACE)$(RUNTIME_NAMESPACE)",
                "flux-systemflux-system",
            ),
            ("$(OTHER)", "$(OTHER)"),
            ("$$(RUNTIME_NAMESPACE)", "$(RUNTIME_NAMESPACE)"),
            ("$(RUNTIME_NAMESPACE", "$(RUNTIME_NAMESPACE"),
            ("5$", "5$"),
        ] {
            assert_eq!(expand(text, &variables()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn test_text_without_dollar_is_never_changed(text in "[^$]{0,40}") {
            prop_assert_eq!(expand(&text, &variables()), text);
        }
    }
}
