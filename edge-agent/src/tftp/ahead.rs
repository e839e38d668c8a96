//! Reading ahead for transfers that go block by block: one read of the file for several blocks.
//!
//! The buffers are few and used again, so that many transfers cost little memory; who gets none reads each block.

use std::io;

use super::library::Source;

/// Bytes read at once: some eleven blocks.
const AHEAD: usize = 16 << 10;

/// Buffers at one time.
const BUFFERS: usize = 512;

/// What was read of one file and not sent yet.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    buffer: Option<Vec<u8>>,
    /// Where in the file the buffer's bytes begin.
    start: u64,
}

/// The buffers that nobody has.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    spare: Vec<Vec<u8>>,
    lent: usize,
}

impl Buffers {
    fn lend(&mut self) -> Option<Vec<u8>> {
        if self.lent >= BUFFERS {
            return None;
        }
        self.lent += 1;
        Some(self.spare.pop().unwrap_or_else(|| Vec::with_capacity(AHEAD)))
    }

    /// A transfer is over.
    pub(super) fn take_back(&mut self, ahead: Ahead) {
        if let Some(mut buffer) = ahead.buffer {
            buffer.clear();
            self.spare.push(buffer);
            self.lent -= 1;
        }
    }
}

impl Ahead {
    /// Fills `into` with the bytes of `source` from `offset` on.
    ///
    /// # Errors
    /// What reading says.
    pub(super) fn read(
        &mut self,
        source: &Source,
        offset: u64,
        into: &mut [u8],
        buffers: &mut Buffers,
    ) -> io::Result<()> {
        if self.copy(offset, into) {
            return Ok(());
        }
        if source.is_in_memory() || into.len() > AHEAD / 2 {
            return source.read(offset, into);
        }
        if self.buffer.is_none() {
            self.buffer = buffers.lend();
        }
        let Some(buffer) = &mut self.buffer else { return source.read(offset, into) };
        let rest = source.available().saturating_sub(offset);
        buffer.clear();
        buffer.resize(usize::try_from(rest).unwrap_or(AHEAD).min(AHEAD).max(into.len()), 0);
        self.start = offset;
        if let Err(error) = source.read(offset, buffer) {
            buffer.clear();
            return Err(error);
        }
        self.copy(offset, into);
        Ok(())
    }

    fn copy(&self, offset: u64, into: &mut [u8]) -> bool {
        let found = self.buffer.as_ref().and_then(|buffer| {
            let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
            buffer.get(start..start.checked_add(into.len())?)
        });
        found.inspect(|found| into.copy_from_slice(found)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::*;

    fn file(content: &[u8]) -> Arc<File> {
        let path = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(path.path(), content).expect("written");
        Arc::new(path.reopen().expect("it is there"))
    }

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|n| u8::try_from(n % 251).expect("a byte")).collect()
    }

    fn read(ahead: &mut Ahead, source: &Source, offset: u64, len: usize, buffers: &mut Buffers) -> Vec<u8> {
        let mut into = vec![0; len];
        ahead.read(source, offset, &mut into, buffers).expect("it is there");
        into
    }

    #[test]
    fn blocks_in_order_again_and_elsewhere_are_the_files() {
        let all = content(100_000);
        let source = Source::File { file: file(&all), size: 100_000, arrived: None };
        let (mut ahead, mut buffers) = (Ahead::default(), Buffers::default());
        let offsets = (0..100_000).step_by(1468).chain([50_000, 0, 1468, 99_999, 16_380]);
        for offset in offsets {
            let len = 1468.min(100_000 - offset);
            let block = read(&mut ahead, &source, offset as u64, len, &mut buffers);
            assert_eq!(block, all[offset..offset + len], "from {offset}");
        }
        assert!(read(&mut ahead, &source, 100_000, 0, &mut buffers).is_empty(), "an empty last block");
    }

    #[test]
    fn of_a_file_that_is_still_arriving_nothing_is_read_before_it_is_there() {
        let shared = file(&[b'x'; 2000]);
        let (arriving, arrived) = watch::channel(1000);
        let source = Source::File { file: Arc::clone(&shared), size: 2000, arrived: Some(arrived) };
        let (mut ahead, mut buffers) = (Ahead::default(), Buffers::default());
        assert_eq!(read(&mut ahead, &source, 0, 500, &mut buffers), [b'x'; 500]);
        shared.write_all_at(&[b'y'; 1000], 1000).expect("written");
        arriving.send_replace(2000);
        assert_eq!(read(&mut ahead, &source, 500, 500, &mut buffers), [b'x'; 500]);
        assert_eq!(read(&mut ahead, &source, 1000, 500, &mut buffers), [b'y'; 500]);
    }

    #[test]
    fn a_file_that_shrinks_is_an_error_and_what_follows_is_read_anew() {
        let shared = file(&content(40_000));
        let source = Source::File { file: shared, size: 80_000, arrived: None };
        let (mut ahead, mut buffers) = (Ahead::default(), Buffers::default());
        assert!(ahead.read(&source, 39_000, &mut [0; 512], &mut buffers).is_err());
        assert_eq!(read(&mut ahead, &source, 0, 512, &mut buffers), content(512));
    }

    #[test]
    fn buffers_are_few_and_come_back() {
        let source = Source::File { file: file(&content(100)), size: 100, arrived: None };
        let mut buffers = Buffers::default();
        let mut all: Vec<Ahead> = (0..BUFFERS + 5).map(|_| Ahead::default()).collect();
        for ahead in &mut all {
            assert_eq!(read(ahead, &source, 10, 20, &mut buffers), content(100)[10..30]);
        }
        assert_eq!((buffers.lent, buffers.spare.len()), (BUFFERS, 0));
        all.into_iter().for_each(|ahead| buffers.take_back(ahead));
        assert_eq!((buffers.lent, buffers.spare.len()), (0, BUFFERS));
    }
}
