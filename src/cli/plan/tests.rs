//! Where a saved plan ends up, also where there is no room for it.

use super::*;

fn plan(environment: &str) -> EnvironmentPlan {
    EnvironmentPlan {
        api_version: "lotse/v1".into(),
        kind: "Plan".into(),
        environment: environment.into(),
        prune: false,
        surfaces: Vec::new(),
    }
}

fn saved(path: &Utf8Path) -> EnvironmentPlan {
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn test_a_plan_is_replaced_as_a_whole_or_stays_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(directory.path()).unwrap();
    let path = folder.join("lab.plan");
    save(&plan("one"), &path).unwrap();
    // Who reads the plan at this moment goes on with that one.
    let reader = fs_err::File::open(&path).unwrap();
    save(&plan("two"), &path).unwrap();
    assert_eq!(saved(&path), plan("two"));
    let before: EnvironmentPlan = serde_json::from_reader(reader).unwrap();
    assert_eq!(before, plan("one"));
    assert_eq!(folder.read_dir_utf8().unwrap().count(), 1);
}

#[test]
fn test_a_link_stays_one_and_a_full_device_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(directory.path()).unwrap();
    let link = folder.join("latest.plan");
    std::os::unix::fs::symlink("lab.plan", &link).unwrap();
    save(&plan("one"), &link).unwrap();
    assert!(link.is_symlink());
    assert_eq!(saved(&folder.join("lab.plan")), plan("one"));

    let error = save(&plan("one"), Utf8Path::new("/dev/full")).unwrap_err();
    assert_eq!(error.kind, Kind::Failed);
    let told = format!("{} {}", error.message, error.causes.join(" "));
    assert!(
        told.contains("/dev/full") && told.contains("No space left"),
        "{told}"
    );
    assert!(error.hints[0].starts_with("make room"), "{:?}", error.hints);
}
