//! What to do about what objects commonly say. Pure.

/// Words that appear in what is said, in lower case, and what to do then. The first that matches counts, so what is
/// particular stands before what is general.
const REMEDIES: [(&[&str], &str); 24] = [
    (
        &[
            "errimagepull",
            "imagepullbackoff",
            "failed to pull image",
            "invalidimagename",
        ],
        "correct the image's name and tag, and see that the nodes reach its registry (imagePullSecrets where it asks)",
    ),
    (
        &["oomkilled"],
        "the container needs more memory than its limit: raise resources.limits.memory in its manifest",
    ),
    (
        &["crashloopbackoff", "ended with exit code"],
        "`kubectl logs --previous` of that pod says why it ends",
    ),
    (
        &["createcontainerconfigerror"],
        "make the Secret or ConfigMap that the container names, with that key",
    ),
    (
        &["insufficient cpu", "insufficient memory"],
        "ask for less in resources.requests, or add workers: cluster.workers in environment.yaml",
    ),
    (
        &["nodes are available", "no nodes available"],
        "no node takes the pod: compare its nodeSelector, tolerations and volumes with `kubectl describe nodes`",
    ),
    (
        &["exceeded quota", "must specify limits", "must specify requests"],
        "lower what the pods ask for, or raise `quota` in the application's declaration",
    ),
    (
        &["violates podsecurity"],
        "set securityContext as the message says, or `podSecurity` in the application's declaration",
    ),
    (
        &[
            "no volume is bound",
            "no persistent volumes available",
            "storageclass",
        ],
        "see that its storage class is there (`kubectl get storageclass`) and what its events say",
    ),
    (
        &["failed calling webhook"],
        "the webhook's own Deployment does not answer: bring that up first, or remove its configuration if it is gone",
    ),
    (
        &["no valid host", "novalidhost"],
        "the cloud has no room for that flavor now: take another flavor in environment.yaml or ask the provider",
    ),
    (
        &["quota exceeded", "exceeds quota", "overquota", "over quota"],
        "the cloud's quota of the project is used up: ask for more, or declare fewer or smaller machines",
    ),
    (
        &["flavor"],
        "declare a flavor that the cloud has (`openstack flavor list`) in environment.yaml",
    ),
    (
        &[
            "image not found",
            "no image",
            "could not find image",
            "couldn't find image",
        ],
        "the node image of this release is not in the cloud: see that the cluster stack's image is uploaded there",
    ),
    (
        &["message authentication failed", "mac mismatch"],
        "an encrypted file was changed by hand: take it from Git as it was, or set its values anew with `lotse secrets`",
    ),
    (
        &["decrypt", "sops"],
        "Flux's key can't read what is encrypted here: encrypt it to the environment's recipient as well",
    ),
    (
        &["key mismatch", "knownhosts:", "missing key type pattern"],
        "the forge does not prove itself by the keys in git.reader.deployKey.knownHosts: compare them with what it \
         publishes, then `lotse bootstrap` hands them on",
    ),
    (
        &[
            "authentication required",
            "could not read username",
            "authorization failed",
        ],
        "Flux's credentials for the repository are refused: give git.username and git.password that may read it, \
         then `lotse bootstrap` hands them on",
    ),
    (
        &[
            "kustomize build failed",
            "accumulating resources",
            "failed to decode kubernetes",
        ],
        "the manifests can't be built: `lotse check` and `kubectl kustomize` of that directory say where",
    ),
    (
        &["retries exhausted"],
        "mend what the release's message says, then `flux reconcile helmrelease --reset` starts it again",
    ),
    (
        &["x509", "certificate"],
        "a certificate is not trusted or has run out: see who signed it and until when it holds",
    ),
    (
        &[
            "no such host",
            "i/o timeout",
            "connection refused",
            "network is unreachable",
        ],
        "the controller does not reach that address: see that it answers, and network rules on the way there",
    ),
    (
        &["no address from the load balancer"],
        "the cloud's load balancer gives none: its events, the project's quota of load balancers and addresses say why",
    ),
    (
        &["is forbidden", "cannot patch resource", "cannot create resource"],
        "Flux acts for an application with the rights of its namespace: what needs more is listed in clusterWide",
    ),
];

/// What to do about `said`, where that is known.
#[must_use]
pub fn remedy(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    let matching = REMEDIES
        .iter()
        .find(|(words, _)| words.iter().any(|word| said.contains(word)));
    matching.map(|(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_common_troubles_have_a_remedy() {
        for (said, wanted) in [
            ("container web: ErrImagePull: rpc error", "image's name"),
            (
                "container web ended with exit code 137 (OOMKilled)",
                "more memory",
            ),
            ("container web ended with exit code 1", "kubectl logs --previous"),
            ("0/4 nodes are available: 4 Insufficient cpu.", "add workers"),
            (
                "0/4 nodes are available: 4 node(s) had untolerated taint",
                "nodeSelector",
            ),
            ("pods \"web-1\" is forbidden: exceeded quota: limits", "`quota`"),
            (
                "pods \"web-1\" is forbidden: violates PodSecurity \"restricted\"",
                "podSecurity",
            ),
            (
                "failed calling webhook \"x\": connection refused",
                "webhook's own",
            ),
            ("No valid host was found", "no room"),
            ("Quota exceeded for cores", "quota of the project"),
            (
                "unable to clone: ssh: handshake failed: knownhosts: key mismatch",
                "knownHosts",
            ),
            ("error getting flavor SCS-4V-16-100s", "openstack flavor list"),
            (
                "deployments.apps is forbidden: User \"system:serviceaccount:flux-system:web\"",
                "clusterWide",
            ),
        ] {
            let found = remedy(said).unwrap_or_else(|| panic!("{said}"));
            assert!(found.contains(wanted), "{said}: {found}");
        }
        assert_eq!(remedy("1 of 2 pods are ready"), None);
    }

    #[test]
    fn test_words_are_in_lower_case() {
        for (words, _) in REMEDIES {
            assert!(words.iter().all(|word| *word == word.to_lowercase()), "{words:?}");
        }
    }
}
