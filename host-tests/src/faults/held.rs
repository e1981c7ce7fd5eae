//! Resources that are not ready before their time, sockets that connect and lookups, though what wasmtime does for them may be done.
//!
//! A pollable of wasmtime's names the resource that it waits for. As long as a resource is held back, all its pollables are pointed at a
//! gate instead, those too that the component has made before (wasi-libc makes one with each socket), and after that at the resource
//! again, which may still not be ready.

use std::collections::HashMap;
use std::ptr;

use wasmtime::Result;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::waits::Waits;

/// The resources of one kind that one component has, as far as they are held back or have pollables.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By the number that the resource has in the table; it must be forgotten with the resource, for then it may become another's.
    known: HashMap<u32, Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Their numbers in the table; some may have been dropped.
    pollables: Vec<u32>,
    /// The number of the gate, while the resource is held back.
    gate: Option<u32>,
}

/// What the pollables wait for meanwhile.
struct Gate(Waits);

#[async_trait]
impl Pollable for Gate {
    async fn ready(&mut self) {
        self.0.over().await;
    }
}

impl Held {
    /// Holds a resource back that is not held back yet.
    pub(super) fn hold<T: 'static>(
        &mut self,
        table: &mut ResourceTable,
        resource: &Resource<T>,
        waits: Waits,
    ) -> Result<()> {
        let gate = table.push(Gate(waits))?;
        let known = self.known.entry(resource.rep()).or_default();
        known.gate = Some(gate.rep());
        known.aim_all(table, resource, &gate)
    }

    /// Notes a pollable that was made for this resource.
    pub(super) fn subscribed<T: 'static>(
        &mut self,
        table: &mut ResourceTable,
        resource: &Resource<T>,
        pollable: &Resource<DynPollable>,
    ) -> Result<()> {
        let known = self.known.entry(resource.rep()).or_default();
        // They are counted here, so that many that come and go are never many.
        known.pollables.push(pollable.rep());
        known.keep_those_of(table, resource)?;
        match known.gate {
            Some(gate) => aim(table, pollable.rep(), &Resource::<Gate>::new_borrow(gate)),
            None => Ok(()),
        }
    }

    /// Whether the resource may be asked how it is: true once its time is over, and if it never was held back.
    pub(super) fn is_due<T: Pollable>(&mut self, table: &mut ResourceTable, resource: &Resource<T>) -> Result<bool> {
        let Some(known) = self.known.get_mut(&resource.rep()) else { return Ok(true) };
        let Some(gate) = known.gate.map(Resource::<Gate>::new_own) else { return Ok(true) };
        if !table.get(&gate)?.0.is_over() {
            return Ok(false);
        }
        known.aim_all(table, resource, resource)?;
        known.gate = None;
        table.delete(gate)?;
        Ok(true)
    }

    /// Forgets a resource that is no more; so are its pollables, for wasmtime deletes nothing that has some.
    pub(super) fn forget(&mut self, table: &mut ResourceTable, resource: u32) -> Result<()> {
        if let Some(gate) = self.known.remove(&resource).and_then(|known| known.gate) {
            table.delete(Resource::<Gate>::new_own(gate))?;
        }
        Ok(())
    }
}

impl Known {
    /// Points all pollables of a resource at another one.
    fn aim_all<T: 'static>(
        &mut self,
        table: &mut ResourceTable,
        resource: &Resource<T>,
        target: &Resource<impl Pollable>,
    ) -> Result<()> {
        self.keep_those_of(table, resource)?;
        self.pollables.iter().try_for_each(|pollable| aim(table, *pollable, target))
    }

    /// Forgets the pollables that were dropped. Their numbers may be others' by now, so what tells is whether the resource has the very
    /// same pollable as a child.
    fn keep_those_of<T: 'static>(&mut self, table: &ResourceTable, resource: &Resource<T>) -> Result<()> {
        let children: Vec<*const ()> =
            table.iter_children(resource)?.map(|child| ptr::from_ref(child).cast()).collect();
        self.pollables.sort_unstable();
        self.pollables.dedup();
        self.pollables.retain(|pollable| {
            let pollable = table.get(&Resource::<DynPollable>::new_borrow(*pollable));
            pollable.is_ok_and(|pollable| children.contains(&ptr::from_ref(pollable).cast()))
        });
        Ok(())
    }
}

/// Lets a pollable wait for this.
fn aim<T: Pollable>(table: &mut ResourceTable, pollable: u32, target: &Resource<T>) -> Result<()> {
    // As wasmtime makes one, which goes at once: a child of it would keep the target from being deleted.
    let aimed = subscribe(table, Resource::<T>::new_borrow(target.rep()))?;
    let aimed = table.delete(aimed)?;
    *table.get_mut(&Resource::<DynPollable>::new_borrow(pollable))? = aimed;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable;

    use super::*;

    /// A resource that is ready.
    struct Ready;

    #[async_trait]
    impl Pollable for Ready {
        async fn ready(&mut self) {}
    }

    fn never() -> Waits {
        Waits::time(None)
    }

    /// A pollable of a resource, of which `held` knows.
    fn pollable(
        held: &mut Held,
        table: &mut ResourceTable,
        resource: &Resource<Ready>,
    ) -> Result<Resource<DynPollable>> {
        let pollable = subscribe(table, Resource::<Ready>::new_borrow(resource.rep()))?;
        held.subscribed(table, resource, &pollable)?;
        Ok(pollable)
    }

    async fn is_ready(table: &mut ResourceTable, pollable: &Resource<DynPollable>) -> Result<bool> {
        HostPollable::ready(table, Resource::new_borrow(pollable.rep())).await
    }

    #[tokio::test]
    async fn pollables_from_before_and_after_wait_for_the_time_and_then_for_the_resource() -> Result<()> {
        let (mut held, mut table) = (Held::default(), ResourceTable::new());
        let resource = table.push(Ready)?;
        let early = pollable(&mut held, &mut table, &resource)?;
        assert!(is_ready(&mut table, &early).await?);
        let time = Duration::from_millis(50);
        held.hold(&mut table, &resource, Waits::time(Some(time)))?;
        let late = pollable(&mut held, &mut table, &resource)?;
        assert!(!is_ready(&mut table, &early).await? && !is_ready(&mut table, &late).await?);
        assert!(!held.is_due(&mut table, &resource)?);
        HostPollable::block(&mut table, Resource::new_borrow(early.rep())).await?;
        assert!(held.is_due(&mut table, &resource)? && held.is_due(&mut table, &resource)?);
        assert!(is_ready(&mut table, &early).await? && is_ready(&mut table, &late).await?);
        HostPollable::drop(&mut table, early)?;
        HostPollable::drop(&mut table, late)?;
        table.delete(resource)?;
        assert!(table.is_empty(), "the gate is left");
        Ok(())
    }

    #[tokio::test]
    async fn numbers_that_are_used_again_are_not_mixed_up() -> Result<()> {
        let (mut held, mut table) = (Held::default(), ResourceTable::new());
        let (resource, other) = (table.push(Ready)?, table.push(Ready)?);
        let gone = pollable(&mut held, &mut table, &resource)?;
        let number = gone.rep();
        HostPollable::drop(&mut table, gone)?;
        let others = pollable(&mut held, &mut table, &other)?;
        assert_eq!(others.rep(), number, "the table gives numbers again");
        held.hold(&mut table, &resource, never())?;
        assert!(is_ready(&mut table, &others).await?, "of the one that is not held back");

        // The resource goes while it is held back, and the next has its number.
        let number = resource.rep();
        table.delete(resource)?;
        held.forget(&mut table, number)?;
        let next = table.push(Ready)?;
        let of_next = pollable(&mut held, &mut table, &next)?;
        assert!(held.is_due(&mut table, &next)? && is_ready(&mut table, &of_next).await?);
        assert_eq!(table.iter_mut().filter(|entry| entry.is::<Gate>()).count(), 0, "the gate is left");
        Ok(())
    }

    #[test]
    fn pollables_that_come_and_go_are_not_kept() -> Result<()> {
        let (mut held, mut table) = (Held::default(), ResourceTable::new());
        let resource = table.push(Ready)?;
        for _ in 0..100 {
            let pollable = pollable(&mut held, &mut table, &resource)?;
            let between = table.push(())?; // so that numbers differ
            HostPollable::drop(&mut table, pollable)?;
            table.delete(between)?;
        }
        assert!(held.known[&resource.rep()].pollables.len() <= 1);
        held.forget(&mut table, resource.rep())?;
        assert!(held.known.is_empty());
        Ok(())
    }
}
