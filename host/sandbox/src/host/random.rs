//! Random in the pure worlds: bytes that follow from instance, step and entry.
//!
//! Not from the attempt, so that a step that is run again gives the same bytes.

use crate::state::State;
use crate::wit::types::CallContext;
use sha2::{Digest, Sha256};
use wasmtime::bail;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

/// A guest that asks for more at once wants to hurt the host.
const BYTES_MAX: u64 = 64 << 10;

/// SHA-256 in counter mode. Nothing is computed until a guest asks.
pub(crate) struct Seeded {
    seed: [u8; 32],
    blocks: u64,
}

impl Seeded {
    pub(crate) fn new(ctx: &CallContext) -> Self {
        let mut hash = Sha256::new();
        for part in [ctx.instance.as_bytes(), ctx.step.as_bytes(), &ctx.entry.to_le_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Seeded { seed: hash.finalize().into(), blocks: 0 }
    }

    fn block(&mut self) -> [u8; 32] {
        self.blocks += 1;
        Sha256::new().chain_update(self.seed).chain_update(self.blocks.to_le_bytes()).finalize().into()
    }

    fn bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > BYTES_MAX {
            bail!("{len} random bytes wanted at once, at most {BYTES_MAX} are allowed");
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < len {
            bytes.extend(self.block());
        }
        bytes.truncate(len as usize);
        Ok(bytes)
    }

    fn number(&mut self) -> u64 {
        let block = self.block();
        u64::from_le_bytes([block[0], block[1], block[2], block[3], block[4], block[5], block[6], block[7]])
    }
}

struct Random;

impl HasData for Random {
    type Data<'a> = &'a mut Seeded;
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    random::add_to_linker::<State, Random>(linker, |state| &mut state.random)?;
    insecure::add_to_linker::<State, Random>(linker, |state| &mut state.random)?;
    insecure_seed::add_to_linker::<State, Random>(linker, |state| &mut state.random)
}

impl random::Host for Seeded {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.number())
    }
}

impl insecure::Host for Seeded {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.number())
    }
}

impl insecure_seed::Host for Seeded {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.number(), self.number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempt_does_not_change_the_bytes_and_the_entry_does() {
        let ctx = crate::state::tests::context();
        let again = CallContext { attempt: 2, ..ctx.clone() };
        let later = CallContext { entry: 2, ..ctx.clone() };
        let first = Seeded::new(&ctx).bytes(40).unwrap();
        assert_eq!(first, Seeded::new(&again).bytes(40).unwrap());
        assert_ne!(first, Seeded::new(&later).bytes(40).unwrap());
        assert_eq!(first.len(), 40);
        assert!(Seeded::new(&ctx).bytes(BYTES_MAX + 1).is_err());
    }
}
