//! The files of the journal: segments that grow at their end, are read from their begin, and go when all of their checks
//! are recorded. What is written and read when is the journal's.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use shared::{Check, retry::Retry};
use uuid::Uuid;

use super::line;

/// What the first line of a segment begins with; then the journal's id.
const HEAD: &str = "status-journal 1 ";
const ENDING: &str = "checks";
/// With so many bytes a segment is full: what a crash leaves is read again from the begin of one.
const FULL: u64 = 4 << 20;
/// Into how many segments at least the room of the folder is cut, since the oldest makes room as a whole.
const SEGMENTS: u64 = 16;

/// Bytes of a line; none comes near.
const LONGEST: u64 = 64 << 10;

/// Where the segments are; nobody else's as long as this is held.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked.
    itself: File,
}

/// One file of the journal, as far as it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its place among the others, and its name.
    pub(super) number: u64,
    /// The journal that numbered the checks in it.
    pub(super) journal: Uuid,
    /// The numbers of its first check and of its last.
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    /// Where the last whole line ends.
    pub(super) bytes: u64,
}

/// What lies in a folder at the begin.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Oldest first; those of earlier journals.
    pub(super) segments: Vec<Segment>,
    /// No segment has this number yet, nor a later one.
    pub(super) free: u64,
    /// Files that are left alone, each with the reason.
    pub(super) strange: Vec<String>,
}

impl Folder {
    /// Takes a folder, making it where there is none, and finds what was left in it.
    ///
    /// # Errors
    /// Why it can't be used, for people.
    pub(super) fn open(path: &Path) -> Result<(Folder, Found), String> {
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let itself = File::open(path).map_err(failed)?;
        itself.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => format!("{}: another prober keeps its checks there", path.display()),
            TryLockError::Error(error) => failed(error),
        })?;
        let folder = Folder { path: path.to_owned(), itself };
        let found = folder.look().map_err(failed)?;
        Ok((folder, found))
    }

    fn look(&self) -> io::Result<Found> {
        let mut found = Found { free: 1, ..Found::default() };
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number =
                name.to_str().and_then(|name| name.strip_suffix(ENDING)?.strip_suffix('.')?.parse().ok());
            numbers.extend(number.filter(|number: &u64| self.file(*number).ends_with(&name)));
        }
        numbers.sort_unstable();
        for number in numbers {
            found.free = found.free.max(number.saturating_add(1));
            match self.measure(number)? {
                Ok(Some(segment)) => found.segments.push(segment),
                Ok(None) => self.remove(number)?,
                Err(strange) => found.strange.push(format!("{}: {strange}", self.file(number).display())),
            }
        }
        Ok(found)
    }

    /// How much of a file is good; `None` where there is no check in it.
    fn measure(&self, number: u64) -> io::Result<Result<Option<Segment>, &'static str>> {
        let mut file = BufReader::new(File::open(self.file(number))?);
        let mut line = Vec::new();
        read_line(&mut file, &mut line)?;
        let journal = match head(&line) {
            Ok(journal) => journal,
            Err(_) if line.is_empty() => return Ok(Ok(None)),
            Err(strange) => return Ok(Err(strange)),
        };
        let mut bytes = line.len() as u64;
        let mut numbers: Option<(u64, u64)> = None;
        while read_line(&mut file, &mut line)? && line.ends_with(b"\n") {
            bytes += line.len() as u64;
            if let Some(seq) = line::number(&line) {
                numbers = Some((numbers.map_or(seq, |(first, _)| first), seq));
            }
        }
        let segment = |(first_seq, last_seq)| Segment { number, journal, first_seq, last_seq, bytes };
        Ok(Ok(numbers.map(segment)))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:012}.{ENDING}"))
    }

    /// Takes a segment away.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.file(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// So that a name outlives a loss of power too.
    fn sync(&self) -> io::Result<()> {
        self.itself.sync_all()
    }
}

/// The next line with its end, which the last one may lack; one that is longer than any that was written comes in pieces.
fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    file.take(LONGEST).read_until(b'\n', line).map(|read| read > 0)
}

fn head(line: &[u8]) -> Result<Uuid, &'static str> {
    let text = std::str::from_utf8(line).ok().and_then(|line| line.strip_suffix('\n')).unwrap_or_default();
    match text.strip_prefix(HEAD).map(Uuid::parse_str) {
        Some(Ok(id)) => Ok(id),
        _ if text.starts_with("status-journal ") => {
            Err("it was written by another version; it waits for that one")
        }
        _ => Err("it is no file of the journal"),
    }
}

/// The end of the journal, where checks are written.
#[derive(Debug)]
pub(super) struct Tail {
    journal: Uuid,
    /// The segment that grows.
    growing: Option<(File, Segment)>,
    free: u64,
    full: u64,
}

impl Tail {
    /// Of a journal that has written nothing yet, in a folder that holds so many bytes.
    pub(super) fn new(journal: Uuid, free: u64, most_bytes: u64) -> Tail {
        Tail { journal, growing: None, free, full: FULL.min(most_bytes / SEGMENTS) }
    }

    /// Writes consecutive checks behind all others, and gives the segment that they stand in once they outlive a crash
    /// of the machine.
    ///
    /// # Errors
    /// Those of the file system. What was written of them is cut off or removed, or left in a segment that grows no more.
    pub(super) fn append(
        &mut self,
        folder: &Folder,
        first_seq: u64,
        checks: &[Check],
    ) -> io::Result<Segment> {
        let mut lines = Vec::with_capacity(checks.len() * 192);
        for (seq, check) in (first_seq..).zip(checks) {
            line::write(&mut lines, seq, check);
        }
        let grown = self.growing.take().filter(|(_, segment)| segment.bytes < self.full);
        let (mut file, mut segment) = match grown {
            Some(grown) => grown,
            None => self.begin(folder, first_seq)?,
        };
        if let Err(error) = file.write_all(&lines).and_then(|()| file.sync_data()) {
            if segment.last_seq < segment.first_seq {
                drop(folder.remove(segment.number));
            } else if file.set_len(segment.bytes).is_ok() {
                self.growing = Some((file, segment));
            }
            return Err(error);
        }
        segment.bytes += lines.len() as u64;
        segment.last_seq = first_seq + checks.len() as u64 - 1;
        self.growing = Some((file, segment.clone()));
        Ok(segment)
    }

    fn begin(&mut self, folder: &Folder, first_seq: u64) -> io::Result<(File, Segment)> {
        let number = self.free;
        self.free += 1;
        let path = folder.file(number);
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        let head = format!("{HEAD}{}\n", self.journal);
        if let Err(error) = file.write_all(head.as_bytes()).and_then(|()| folder.sync()) {
            drop(folder.remove(number));
            return Err(error);
        }
        let bytes = head.len() as u64;
        Ok((file, Segment { number, journal: self.journal, first_seq, last_seq: first_seq - 1, bytes }))
    }
}

/// The place up to which the journal was read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The segment that it is in, or the first that it has not seen.
    pub(super) number: u64,
    offset: u64,
    /// What keeps it from reading.
    pub(super) trouble: Retry,
}

impl Reader {
    /// Whether all of a segment was read.
    pub(super) fn is_past(&self, segment: &Segment) -> bool {
        self.number > segment.number || (self.number == segment.number && self.offset >= segment.bytes)
    }

    /// Goes past a segment unread.
    pub(super) fn skip(&mut self, segment: &Segment) {
        (self.number, self.offset) = (segment.number, segment.bytes);
    }

    /// Reads on in a segment: consecutive checks, at most so many, all of them beyond `after`; and how many lines were
    /// not what was written. Nothing where the end is reached.
    pub(super) fn read(
        &mut self,
        folder: &Folder,
        segment: &Segment,
        after: u64,
        most: usize,
    ) -> io::Result<Lines> {
        if self.number != segment.number {
            (self.number, self.offset) = (segment.number, 0);
        }
        let mut file = File::open(folder.file(segment.number))?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut file = BufReader::new(file.take(segment.bytes - self.offset));
        let mut read = Lines { first_seq: 0, checks: Vec::new(), spoiled: 0 };
        // Where the reading fails, it begins here again.
        let mut offset = self.offset;
        let mut line = Vec::new();
        while read.checks.len() < most && read_line(&mut file, &mut line)? {
            let is_head = offset == 0;
            match line::read(&line) {
                Some((seq, _)) if seq <= after => {}
                Some((seq, check)) => {
                    let next = read.first_seq + read.checks.len() as u64;
                    if !read.checks.is_empty() && seq != next {
                        break;
                    }
                    if read.checks.is_empty() {
                        read.first_seq = seq;
                    }
                    read.checks.push(check);
                }
                None if is_head => {}
                None => read.spoiled += 1,
            }
            offset += line.len() as u64;
        }
        self.offset = offset;
        Ok(read)
    }
}

/// What one reading gave.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) first_seq: u64,
    pub(super) checks: Vec<Check>,
    pub(super) spoiled: u64,
}
