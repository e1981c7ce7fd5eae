//! Components without what only people read.

use anyhow::{Context as _, Result};
use wasm_encoder::{Component, RawSection};
use wasmparser::{Parser, Payload};

/// The component without the section that names its parts, which the linker writes whatever it is told.
pub(crate) fn names(component: &[u8]) -> Result<Vec<u8>> {
    let mut stripped = Component::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.context("not a component")?;
        let is_name = matches!(&payload, Payload::CustomSection(custom) if custom.name() == "component-name");
        if let (0, false, Some((id, range))) = (depth, is_name, payload.as_section()) {
            let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
            stripped.section(&RawSection { id, data: component.get(range).context("a section beyond the end")? });
        }
        // What is inside of modules and components follows their own payload; a version begins each of them, the outermost too.
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(stripped.finish())
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{ComponentNameSection, CustomSection, Module, ModuleSection, NestedComponentSection};

    use super::*;

    fn sections(named: bool) -> Vec<u8> {
        let mut inner = Component::new();
        inner.section(&ComponentNameSection::new());
        let mut component = Component::new();
        component.section(&ModuleSection(&Module::new()));
        component.section(&CustomSection { name: "kept".into(), data: b"abc".into() });
        if named {
            component.section(&ComponentNameSection::new());
        }
        component.section(&NestedComponentSection(&inner));
        component.finish()
    }

    #[test]
    fn only_the_names_of_the_component_go() {
        assert_eq!(names(&sections(true)).unwrap(), sections(false));
        assert_eq!(names(&sections(false)).unwrap(), sections(false));
    }

    #[test]
    fn what_is_no_component_is_refused() {
        assert!(names(b"\0asm").is_err());
    }
}
