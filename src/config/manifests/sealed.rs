//! Files that sops encrypted: Flux has to be able to open them, and nobody else than is declared.

use super::object::Object;
use super::{Reading, SealedLogin};
use crate::age::Recipient;
use crate::config::sealed::sealed;
use crate::diag::{Code, Label, Span};

impl Reading<'_> {
    pub(super) fn check_sealed(&mut self) {
        let sealed = self.files.texts().filter_map(|(path, text)| {
            let recipients = sealed(text)?.recipients;
            let start = text.find("sops").unwrap_or_default();
            let label = Label {
                path: path.to_owned(),
                span: Span {
                    start,
                    end: start + "sops".len(),
                },
                text: String::new(),
            };
            Some((label, recipients))
        });
        let Some(readers) = &self.subject.readers else {
            return;
        };
        for (label, recipients) in sealed.collect::<Vec<_>>() {
            self.check_recipients(label, &recipients, readers);
        }
    }

    /// Secrets of clients that are to be here are here, and encrypted.
    pub(super) fn check_sealed_logins(&mut self, objects: &[Object]) {
        for login in &self.subject.sealed_logins {
            let SealedLogin { client, secret, .. } = login;
            let is_there = objects
                .iter()
                .any(|object| object.is("", "Secret") && object.has_name(secret));
            if is_there {
                continue;
            }
            let message = format!("the manifests have no Secret `{secret}` of the client `{client}` yet");
            self.report_at(Code::NotSealed, Some(login.declared.clone()), message)
                .help = Some(format!(
                "`lotse identity seal ENVIRONMENT {client}` writes it, once `lotse apply` has made the client; if the file is there, \
                 list it under `resources` of kustomization.yaml"
            ));
        }
    }

    fn check_recipients(&mut self, label: Label, recipients: &[String], readers: &[Recipient]) {
        let Some(cluster) = readers.first() else {
            self.report_at(
                Code::NotForTheCluster,
                Some(label),
                "the file is encrypted, and the environment has no `secrets`: Flux would deliver it as it is",
            )
            .help = Some("`lotse secrets init ENVIRONMENT` makes the cluster's key".into());
            return;
        };
        if !recipients.iter().any(|recipient| recipient == cluster.as_str()) {
            let message = "the file is not encrypted to the cluster's recipient, so Flux can't open it";
            self.report_at(Code::NotForTheCluster, Some(label.clone()), message)
                .help = Some("`lotse secrets rekey ENVIRONMENT`, by somebody who can open it".into());
        }
        // What is elsewhere may be of other environments as well.
        if !label.path.starts_with(&self.subject.own_folder) {
            return;
        }
        let is_reader = |recipient: &str| readers.iter().any(|reader| reader.as_str() == recipient);
        let strangers: Vec<&str> = recipients
            .iter()
            .map(String::as_str)
            .filter(|recipient| !is_reader(recipient))
            .collect();
        if !strangers.is_empty() {
            let message = format!(
                "the file is encrypted to {}, who is not among those who may decrypt",
                strangers.join(", ")
            );
            self.report_at(Code::ForOthers, Some(label), message).help = Some(
                "`lotse secrets rekey ENVIRONMENT` leaves out who is not in people.yaml or in a team of `secrets.teams`; \
                 what they have seen has to be changed"
                    .into(),
            );
        }
    }
}
