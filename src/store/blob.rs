//! One object of a store, read piece by piece by whoever does not live in an asynchronous world.
//!
//! Connections belong to the runtime that made them, so all of these reads share one that lives as long
//! as the process. Memory is what was asked for and no more.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::OnceLock;

use bytes::{Buf as _, Bytes};
use tokio::runtime::{Builder, Runtime};

use super::{Store, StoreError};

/// Bytes of one request of a [`Stream`].
const PIECE: u64 = 4 << 20;

/// An object by its store and key.
#[derive(Debug, Clone)]
pub struct Blob {
    pub store: Store,
    pub key: String,
}

impl Blob {
    /// Bytes of the object; for threads that may wait.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        wait(self.store.get_range(&self.key, range))
    }

    /// The same for tasks of any runtime.
    pub async fn fetch(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let (store, key) = (self.store.clone(), self.key.clone());
        let read = runtime()?.spawn(async move { store.get_range(&key, range).await });
        read.await.map_err(|e| StoreError::failed("read", &self.key, e))?
    }

    /// The object of so many bytes from its beginning.
    pub fn stream(&self, bytes: u64) -> Stream {
        Stream { blob: self.clone(), at: 0, bytes, piece: Bytes::new() }
    }
}

/// Does work on a store; for threads that may wait and are no part of a runtime.
pub fn wait<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    runtime()?.block_on(work)
}

fn runtime() -> Result<&'static Runtime, StoreError> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let built = Builder::new_multi_thread().worker_threads(2).thread_name("store").enable_all().build();
        built.map_err(|e| e.to_string())
    });
    made.as_ref().map_err(|e| StoreError::failed("start", "the threads that read from storage", e))
}

/// An object read from its beginning, some megabytes at a time.
pub struct Stream {
    blob: Blob,
    at: u64,
    bytes: u64,
    piece: Bytes,
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.bytes {
            let end = self.at.saturating_add(PIECE).min(self.bytes);
            self.piece = self.blob.read(self.at..end).map_err(io::Error::other)?;
            self.at = end;
        }
        let count = into.len().min(self.piece.len());
        if let Some(room) = into.get_mut(..count) {
            self.piece.copy_to_slice(room);
        }
        Ok(count)
    }
}
