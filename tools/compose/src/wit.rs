//! WIT packages: are they valid, and do they keep what a released version promised.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use wit_component::semver_check;
use wit_parser::{PackageId, PackageName, Resolve, WorldId};

/// The package in `folder` with its dependencies in `folder/deps`.
pub(crate) fn load(folder: &Path) -> Result<(Resolve, PackageId)> {
    let mut resolve = Resolve::new();
    let (package, _) = resolve
        .push_dir(folder)
        .map_err(|error| anyhow!("{}", resolve.render_error(&error)))
        .with_context(|| format!("{} is not a WIT package", folder.display()))?;
    Ok((resolve, package))
}

/// Checks the package in `folder`, alone and against the released versions of it in the subfolders of `released`. What `ours` names
/// are the worlds that we implement; the others are for users to implement.
pub(crate) fn check(folder: &Path, released: Option<&Path>, ours: &[String]) -> Result<()> {
    let (resolve, package) = load(folder)?;
    let name = &resolve.packages[package].name;
    // What it becomes in a component, which is validated as components are.
    wit_component::encode(&resolve, package).with_context(|| format!("{name} is not valid"))?;
    for world in ours {
        ensure!(resolve.packages[package].worlds.contains_key(world), "{name} has no world {world}");
    }
    println!("wit-check: {name} is valid");

    let folders = released.map_or(Ok(Vec::new()), subfolders)?;
    if folders.is_empty() {
        println!("wit-check: no version of it is released yet");
    }
    for folder in folders {
        let verdict = compare(&resolve, package, load(&folder)?, ours)
            .with_context(|| format!("{name} against {}", folder.display()))?;
        println!("wit-check: {verdict}");
    }
    Ok(())
}

fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Checks that `package` keeps what the released version promised, and says what was found.
fn compare(resolve: &Resolve, package: PackageId, released: (Resolve, PackageId), ours: &[String]) -> Result<String> {
    let (mut old, old_package) = released;
    let name = resolve.packages[package].name.clone();
    let old_name = old.packages[old_package].name.clone();
    ensure!((&name.namespace, &name.name) == (&old_name.namespace, &old_name.name), "{old_name} is another package");
    let (Some(version), Some(old_version)) = (&name.version, &old_name.version) else {
        bail!("a package without a version cannot be compared");
    };
    ensure!(version >= old_version, "the version went back, from {old_version}");
    if PackageName::version_compat_track(version) != PackageName::version_compat_track(old_version) {
        return Ok(format!("{name} need not be compatible with {old_name}"));
    }

    // Both in one, under two names until then: packages of one name and version would become one.
    old.package_names.shift_remove(&old_name);
    let renamed = PackageName { name: format!("{}-released", old_name.name), ..old_name.clone() };
    old.packages[old_package].name = renamed.clone();
    old.package_names.insert(renamed, old_package);
    let mut both = resolve.clone();
    let old_package = both.merge(old)?.packages[old_package.index()];
    both.packages[old_package].name.name.clone_from(&old_name.name);

    for (world_name, &old_world) in &both.packages[old_package].worlds {
        let Some(&world) = both.packages[package].worlds.get(world_name) else {
            bail!("the world {world_name} is gone");
        };
        let ours = ours.contains(world_name);
        for replacement in replacements(world, old_world, ours, version == old_version) {
            // The outermost message is the library's own, about worlds; the others say what is different.
            semver_check(both.clone(), replacement.component, replacement.expected)
                .map_err(|error| anyhow!("{}", error.root_cause()))
                .with_context(|| format!("the world {world_name} {}", replacement.problem))?;
        }
    }
    Ok(format!("{name} is compatible with {old_name}"))
}

/// A component made for one world must do where one of another is expected.
struct Replacement {
    component: WorldId,
    expected: WorldId,
    problem: &'static str,
}

fn replacements(world: WorldId, old_world: WorldId, ours: bool, same_version: bool) -> Vec<Replacement> {
    let theirs = Replacement {
        component: old_world,
        expected: world,
        problem: "is not compatible: components that were made for it would no longer do",
    };
    let our_own = Replacement {
        component: world,
        expected: old_world,
        problem: "is not compatible: components that use one made for it would no longer get what they expect",
    };
    let (required, growth) = if ours { (our_own, theirs) } else { (theirs, our_own) };
    if same_version {
        let problem = "grew, compatibly: raise the version of the package";
        vec![required, Replacement { problem, ..growth }]
    } else {
        vec![required]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASED: &str = "
        package a:b@0.1.0;
        interface streams {
            variant error { refused, other(string) }
            resource reader { read: func(max: u32) -> result<list<u8>, error>; }
        }
        interface handler {
            use streams.{reader};
            handle: func(input: reader);
        }
        world provider { export streams; }
        world consumer { import streams; }
        world application { import streams; export handler; }
    ";

    fn package(text: &str) -> (Resolve, PackageId) {
        let mut resolve = Resolve::new();
        let package = resolve.push_str("test.wit", text).expect("a WIT package");
        (resolve, package)
    }

    /// What comparing says of the released package with each of `changes` made.
    fn verdict(changes: &[(&str, &str)]) -> String {
        let mut text = RELEASED.to_owned();
        for (from, to) in changes {
            assert!(text.contains(from), "{from} is not in the text");
            text = text.replace(from, to);
        }
        let (resolve, id) = package(&text);
        match compare(&resolve, id, package(RELEASED), &["provider".to_owned()]) {
            Ok(verdict) => verdict,
            Err(error) => format!("{error:#}"),
        }
    }

    const NEXT: (&str, &str) = ("@0.1.0", "@0.1.1");
    const GROWN: (&str, &str) = ("resource reader {", "resource reader { at-eof: func() -> bool;");

    #[test]
    fn the_same_is_compatible_whatever_its_comments() {
        assert_eq!(verdict(&[]), "a:b@0.1.0 is compatible with a:b@0.1.0");
        assert_eq!(verdict(&[("interface streams", "/// Streams.\ninterface streams")]), verdict(&[]));
    }

    #[test]
    fn growth_needs_a_higher_version() {
        assert_eq!(verdict(&[NEXT, GROWN]), "a:b@0.1.1 is compatible with a:b@0.1.0");
        let same = verdict(&[GROWN]);
        assert!(same.contains("grew, compatibly: raise the version") && same.contains("at-eof"), "{same}");
    }

    #[test]
    fn a_function_that_is_gone_or_changed_or_an_error_more_is_not_compatible() {
        for (change, told) in [
            (("read: func(max: u32) -> result<list<u8>, error>;", ""), "[method]reader.read"),
            (("max: u32", "max: u64"), "`u32`"),
            (("refused,", "refused, reset,"), "cases"),
            (("world consumer { import streams; }", ""), "the world consumer is gone"),
        ] {
            let verdict = verdict(&[NEXT, change]);
            assert!(verdict.contains(told), "{change:?}: {verdict}");
        }
    }

    #[test]
    fn what_users_implement_must_not_grow() {
        let verdict = verdict(&[NEXT, ("handle: func", "stop: func(); handle: func")]);
        assert!(verdict.starts_with("the world application is not compatible"), "{verdict}");
    }

    #[test]
    fn versions_tell_what_is_compared() {
        assert_eq!(
            verdict(&[("@0.1.0", "@0.2.0"), ("max: u32", "max: u64")]),
            "a:b@0.2.0 need not be compatible with a:b@0.1.0"
        );
        assert_eq!(verdict(&[("@0.1.0", "@0.1.0-rc")]), "the version went back, from 0.1.0");
        assert_eq!(verdict(&[("a:b", "a:c")]), "a:b@0.1.0 is another package");
    }
}
