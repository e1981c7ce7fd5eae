//! C programs: bindings for the compiler, and a component of what it linked.

use std::path::Path;

use anyhow::{Context as _, Result};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wit_bindgen_core::Files;
use wit_component::ComponentEncoder;

/// Writes WORLD.c, WORLD.h and WORLD_component_type.o. All three belong into the link: the last one carries the types of the imports.
pub(crate) fn bindings(wit: &Path, world: &str, folder: &Path) -> Result<()> {
    let (mut resolve, package) = crate::wit::load(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, contents) in files.iter() {
        crate::write(&folder.join(name), contents)?;
    }
    Ok(())
}

/// Makes the core module a component that exports `wasi:cli/run`.
pub(crate) fn component(module: &Path) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(&crate::read(module)?)
        .and_then(|encoder| {
            encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER)
        })
        .and_then(|encoder| encoder.encode())
        .with_context(|| format!("{} does not become a component", module.display()))
}
