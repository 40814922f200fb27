//! What all VMs of one process share: data under keys, and queues.
//!
//! The corner cases are those of proxy-wasm-cpp-host, because the filter's elections rest on them:
//! a write to a missing key ignores its compare-and-swap number, a key is never deleted, and a
//! queue wakes only the VM that registered its name last.

use std::collections::{BTreeMap, VecDeque};

use crate::status::Status;

/// The shared data of one `vm_id`.
#[derive(Debug, Default)]
pub(crate) struct SharedData {
    entries: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last_cas: u32,
}

impl SharedData {
    /// The value, and the number that a later write must name to be the next one.
    pub(crate) fn get(&self, key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
        self.entries.get(key).cloned().ok_or(Status::NotFound)
    }

    /// Writes. `cas` 0 always wins, and so does any `cas` while the key does not exist.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        let held = self.entries.get(key).map(|(_, held)| *held);
        if held.is_some_and(|held| cas != 0 && cas != held) {
            return Err(Status::CasMismatch);
        }
        self.last_cas = self.last_cas.wrapping_add(1).max(1);
        self.entries
            .insert(key.to_vec(), (value.to_vec(), self.last_cas));
        Ok(())
    }

    /// Every key with the size of its value. A module cannot ask for this; a test can.
    pub(crate) fn sizes(&self) -> BTreeMap<Vec<u8>, usize> {
        self.entries
            .iter()
            .map(|(key, (value, _))| (key.clone(), value.len()))
            .collect()
    }

    /// Every value, one after the other, to search them for what must not be there.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.entries
            .iter()
            .flat_map(|(key, (value, _))| [key.as_slice(), value].concat())
            .collect()
    }
}

/// A wake-up on its way to the VM that registered the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueEvent {
    /// The registrant's VM.
    pub(crate) vm: usize,
    /// The registrant's root context.
    pub(crate) context: u32,
    /// Which queue.
    pub(crate) queue: u32,
}

/// The queues of one `vm_id`.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    ids: BTreeMap<Vec<u8>, u32>,
    queues: BTreeMap<u32, Queue>,
    events: VecDeque<QueueEvent>,
}

#[derive(Debug)]
struct Queue {
    vm: usize,
    context: u32,
    items: VecDeque<Vec<u8>>,
}

impl Queues {
    /// Makes the queue, or takes over the wake-ups of one that exists; what it holds stays.
    pub(crate) fn register(&mut self, name: &[u8], vm: usize, context: u32) -> u32 {
        let next = self.ids.len() as u32 + 1;
        let id = *self.ids.entry(name.to_vec()).or_insert(next);
        let queue = self.queues.entry(id).or_insert_with(|| Queue {
            vm,
            context,
            items: VecDeque::new(),
        });
        queue.vm = vm;
        queue.context = context;
        id
    }

    /// The id of a name.
    pub(crate) fn resolve(&self, name: &[u8]) -> Result<u32, Status> {
        self.ids.get(name).copied().ok_or(Status::NotFound)
    }

    /// Appends, and sends one wake-up to whoever is the registrant at this moment.
    pub(crate) fn enqueue(&mut self, id: u32, value: &[u8]) -> Result<(), Status> {
        let queue = self.queues.get_mut(&id).ok_or(Status::NotFound)?;
        queue.items.push_back(value.to_vec());
        self.events.push_back(QueueEvent {
            vm: queue.vm,
            context: queue.context,
            queue: id,
        });
        Ok(())
    }

    /// Takes the oldest item.
    pub(crate) fn dequeue(&mut self, id: u32) -> Result<Vec<u8>, Status> {
        self.queues
            .get_mut(&id)
            .ok_or(Status::NotFound)?
            .items
            .pop_front()
            .ok_or(Status::Empty)
    }

    /// Takes the oldest wake-up that is for one of `vms`.
    pub(crate) fn take_event(&mut self, awake: impl Fn(usize) -> bool) -> Option<QueueEvent> {
        let nth = self.events.iter().position(|event| awake(event.vm))?;
        self.events.remove(nth)
    }

    /// Items that nobody has taken yet, over all queues.
    pub(crate) fn backlog(&self) -> usize {
        self.queues.values().map(|queue| queue.items.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_cas_is_refused_and_the_value_stays() {
        let mut data = SharedData::default();
        data.set(b"k", b"1", 0).unwrap();
        let (_, first) = data.get(b"k").unwrap();
        data.set(b"k", b"2", first).unwrap();
        assert_eq!(data.set(b"k", b"3", first), Err(Status::CasMismatch));
        assert_eq!(data.get(b"k").unwrap().0, b"2");
    }

    #[test]
    fn two_can_create_the_same_key_whatever_their_cas() {
        let mut data = SharedData::default();
        assert_eq!(data.set(b"k", b"1", 77), Ok(()));
        assert_eq!(data.set(b"k", b"2", 0), Ok(()));
        assert_eq!(data.get(b"k").unwrap().0, b"2");
    }

    #[test]
    fn an_emptied_key_is_still_there() {
        let mut data = SharedData::default();
        data.set(b"k", b"1", 0).unwrap();
        data.set(b"k", b"", 0).unwrap();
        assert_eq!(data.get(b"k").unwrap().0, b"");
        assert_eq!(data.sizes().len(), 1);
    }

    #[test]
    fn a_queue_wakes_only_its_last_registrant_and_keeps_its_items() {
        let mut queues = Queues::default();
        let id = queues.register(b"q", 0, 1);
        queues.enqueue(id, b"early").unwrap();
        assert_eq!(queues.register(b"q", 1, 1), id);
        queues.enqueue(id, b"late").unwrap();
        assert_eq!(queues.take_event(|_| true).map(|event| event.vm), Some(0));
        assert_eq!(queues.take_event(|_| true).map(|event| event.vm), Some(1));
        assert_eq!(queues.dequeue(id), Ok(b"early".to_vec()));
        assert_eq!(queues.dequeue(id), Ok(b"late".to_vec()));
        assert_eq!(queues.dequeue(id), Err(Status::Empty));
    }
}
