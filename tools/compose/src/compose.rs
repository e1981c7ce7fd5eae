//! Joining components.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use wac_graph::types::{Package, SubtypeChecker, are_semver_compatible};
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};

/// A component in the composition, and whether a later one uses it.
struct Floor {
    name: String,
    package: PackageId,
    instance: NodeId,
    used: bool,
}

/// Puts each component on those before it. What none of them exports the result imports, once for all, so that the types of a WASI
/// interface are one type for all of them.
pub(crate) fn compose(paths: &[PathBuf]) -> Result<Vec<u8>> {
    ensure!(paths.len() > 1, "there is nothing to put together: name at least two components");
    let mut graph = CompositionGraph::new();
    let mut floors: Vec<Floor> = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let name = path.display().to_string();
        // Names in the graph, not in the result; two files may have the same stem.
        let package = Package::from_bytes(&format!("floor:n{index}"), None, crate::read(path)?, graph.types_mut())
            .with_context(|| format!("{name} is not a component"))?;
        let package = graph.register_package(package)?;
        let instance = graph.instantiate(package);
        connect(&mut graph, &mut floors, &name, package, instance)?;
        floors.push(Floor { name, package, instance, used: false });
    }

    let top = floors.pop().context("no components")?;
    if let Some(useless) = floors.iter().find(|floor| !floor.used) {
        bail!("{} exports nothing that a component after it imports", useless.name);
    }
    let exports: Vec<String> = graph.types()[graph[top.package].ty()].exports.keys().cloned().collect();
    for export in exports {
        let node = graph.alias_instance_export(top.instance, &export)?;
        graph.export(node, &export)?;
    }
    graph.encode(EncodeOptions::default()).context("the composition is not valid")
}

/// Gives the component `package`, made as `instance`, what it imports and a floor below it exports.
fn connect(
    graph: &mut CompositionGraph,
    floors: &mut [Floor],
    name: &str,
    package: PackageId,
    instance: NodeId,
) -> Result<()> {
    let imports: Vec<String> = graph.types()[graph[package].ty()].imports.keys().cloned().collect();
    for import in imports {
        // The nearest one: a component may export what it imports itself, changed.
        for floor in floors.iter_mut().rev() {
            let Some(export) = export_for(graph, floor.package, &import) else { continue };
            let types = graph.types();
            let given = types[graph[floor.package].ty()].exports[&export];
            let wanted = types[graph[package].ty()].imports[&import];
            SubtypeChecker::new(&mut HashSet::new())
                .is_subtype(given, types, wanted, types)
                .with_context(|| format!("{} exports {export}, but not as {name} imports it", floor.name))?;
            let node = graph.alias_instance_export(floor.instance, &export)?;
            graph.set_instantiation_argument(instance, &import, node)?;
            floor.used = true;
            break;
        }
    }
    Ok(())
}

/// The name of the export of `package` that does for `import`: the same, or a compatible version of it.
fn export_for(graph: &CompositionGraph, package: PackageId, import: &str) -> Option<String> {
    let exports = &graph.types()[graph[package].ty()].exports;
    let same = exports.contains_key(import).then(|| import.to_owned());
    same.or_else(|| exports.keys().find(|export| are_semver_compatible(export, import)).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
    use wit_parser::{ManglingAndAbi, Resolve};

    const WIT: &str = "
        package a:b@0.1.0;
        interface streams { resource reader { read: func() -> u32; } }
        interface handler { use streams.{reader}; handle: func(input: reader); }
        interface run { run: func(); }
        world provider { export streams; }
        world application { import streams; export handler; }
        world driver { import streams; import handler; export run; }
        world program { import streams; export run; }
    ";

    /// A component of the given world that does nothing, and its place.
    fn component(test: &str, wit: &str, world: &str) -> PathBuf {
        let mut resolve = Resolve::new();
        let package = resolve.push_str("test.wit", wit).expect("a WIT package");
        let id = resolve.select_world(&[package], Some(world)).expect("a world");
        let mut module = dummy_module(&resolve, id, ManglingAndAbi::Standard32);
        embed_component_metadata(&mut module, &resolve, id, StringEncoding::UTF8).expect("metadata");
        let mut encoder = ComponentEncoder::default();
        let bytes = encoder.module(&module).and_then(|encoder| encoder.encode()).expect("a component");
        let path = std::env::temp_dir().join(format!("wasi-streams-{}-{test}-{world}.wasm", std::process::id()));
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// The result, or the message; the files are gone then.
    fn composed(paths: &[PathBuf]) -> Result<Vec<u8>, String> {
        let result = compose(paths).map_err(|error| format!("{error:#}"));
        paths.iter().for_each(|path| _ = std::fs::remove_file(path));
        result
    }

    #[test]
    fn a_program_gets_what_it_imports() {
        composed(&["provider", "program"].map(|world| component("two", WIT, world))).expect("a composition");
    }

    #[test]
    fn three_floors_share_the_types_of_the_lowest() {
        // Two instances of the provider would be two types, and no valid component.
        composed(&["provider", "application", "driver"].map(|world| component("three", WIT, world)))
            .expect("a composition");
    }

    #[test]
    fn a_later_version_of_an_import_does() {
        let later = WIT.replace("@0.1.0", "@0.1.1").replace("read:", "more: func(); read:");
        composed(&[component("later", &later, "provider"), component("later", WIT, "program")]).expect("a composition");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let other = WIT.replace("u32", "u64");
        let told = composed(&[component("other", &other, "provider"), component("other", WIT, "program")]).unwrap_err();
        assert!(told.contains("but not as") && told.contains("read"), "{told}");
        let told = composed(&["program", "driver"].map(|world| component("useless", WIT, world))).unwrap_err();
        assert!(told.ends_with("exports nothing that a component after it imports"), "{told}");
        assert_eq!(composed(&[]).unwrap_err(), "there is nothing to put together: name at least two components");
    }
}
