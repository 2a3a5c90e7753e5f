use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;

fn authority(root: &tempfile::TempDir) -> CertificateAuthority {
    CertificateAuthority::open(&Utf8Path::from_path(root.path()).unwrap().join("pki")).unwrap()
}

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn test_what_is_kept_is_given_again() {
    let root = tempfile::tempdir().unwrap();
    let first = authority(&root);
    let addresses = [Ipv4Addr::LOCALHOST.into()];
    let issued = first
        .issue_server("moin/api", &hosts(&["localhost"]), &addresses)
        .unwrap();
    let keys = first.service_account_keys("moin/service-account").unwrap();
    let public = fs_err::read_to_string(&keys.public_path).unwrap();

    let second = authority(&root);
    assert_eq!(second.certificate_pem(), first.certificate_pem());
    let again = second
        .issue_server("moin/api", &hosts(&["localhost"]), &addresses)
        .unwrap();
    assert_eq!(again.certificate_pem, issued.certificate_pem);
    assert_eq!(again.key_pem.expose(), issued.key_pem.expose());
    second.service_account_keys("moin/service-account").unwrap();
    assert_eq!(fs_err::read_to_string(&keys.public_path).unwrap(), public);

    let other = second
        .issue_server("moin/api", &hosts(&["api.lab.test"]), &addresses)
        .unwrap();
    assert_ne!(other.certificate_pem, issued.certificate_pem);
}

#[test]
fn test_a_new_authority_issues_everything_anew() {
    let root = tempfile::tempdir().unwrap();
    let first = authority(&root);
    let issued = first
        .issue_client("admin", "admin", Some("system:masters"))
        .unwrap();
    fs_err::remove_file(first.directory.join("ca.json")).unwrap();
    let second = authority(&root);
    assert_ne!(second.certificate_pem(), first.certificate_pem());
    let again = second
        .issue_client("admin", "admin", Some("system:masters"))
        .unwrap();
    assert_ne!(again.certificate_pem, issued.certificate_pem);
}

#[test]
fn test_a_certificate_near_its_end_is_issued_anew() {
    let root = tempfile::tempdir().unwrap();
    let authority = authority(&root);
    let issued = authority.issue_client("admin", "admin", None).unwrap();
    let note = authority.directory.join("admin.json");
    let text = fs_err::read_to_string(&note).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["renew_after"] = "2020-01-01T00:00:00Z".into();
    fs_err::write(&note, value.to_string()).unwrap();
    let again = authority.issue_client("admin", "admin", None).unwrap();
    assert_ne!(again.certificate_pem, issued.certificate_pem);
}

#[test]
fn test_keys_are_private() {
    let root = tempfile::tempdir().unwrap();
    let authority = authority(&root);
    let issued = authority.issue_client("moin/admin", "admin", None).unwrap();
    let keys = authority.service_account_keys("moin/service-account").unwrap();
    for path in [issued.key_path, keys.private_path, authority.key_path()] {
        let mode = fs_err::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

/// Asks another implementation: the openssl program, which the build of libgit2 needs as well.
#[test]
fn test_openssl_accepts_what_was_issued() {
    let root = tempfile::tempdir().unwrap();
    let authority = authority(&root);
    let addresses = [Ipv4Addr::LOCALHOST.into()];
    let server = authority
        .issue_server("server", &hosts(&["api.lab.test"]), &addresses)
        .unwrap();
    let client = authority
        .issue_client("client", "admin", Some("system:masters"))
        .unwrap();
    let verify = |purpose: &str, path: &Utf8Path| {
        let output = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"])
            .args([authority.certificate_path().as_str(), path.as_str()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    verify("sslserver", &server.certificate_path);
    verify("sslclient", &client.certificate_path);
}

#[test]
fn test_kubeconfig_is_read_by_the_client_library() {
    let root = tempfile::tempdir().unwrap();
    let authority = authority(&root);
    let client = authority
        .issue_client("admin", "admin", Some("system:masters"))
        .unwrap();
    let text = kubeconfig(
        "moin",
        "https://127.0.0.1:6443",
        authority.certificate_pem(),
        &client,
    )
    .unwrap();
    let read = kube::config::Kubeconfig::from_yaml(text.expose()).unwrap();
    assert_eq!(read.current_context.as_deref(), Some("moin"));
    assert!(!format!("{text:?}").contains("client-key-data"));
}
