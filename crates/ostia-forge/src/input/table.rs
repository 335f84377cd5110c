//! A column of comma-separated values.

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::{
    Column, Format, Header, InputError, Place,
    error::quoted,
    gather::{Sink, Token, radix_of},
    number,
};

/// A table whose columns are known.
#[derive(Clone, Debug)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    /// The cells of the first row.
    first: Vec<Vec<u8>>,
    has_header: bool,
    key_column: usize,
}

impl<'a> Table<'a> {
    /// Finds the column of the keys, the first when none is chosen, and whether the first row names the columns.
    pub(super) fn open(
        bytes: &'a [u8],
        column: Option<&Column>,
        header: Header,
    ) -> Result<Table<'a>, InputError> {
        let mut rows = reader(bytes);
        let first = next(&mut rows)?.map(|row| row.iter().map(<[u8]>::to_vec).collect()).unwrap_or_default();
        let mut table = Table { bytes, first, has_header: header == Header::Yes, key_column: 0 };
        if header == Header::No && matches!(column, Some(Column::Name(_))) {
            return Err(InputError::NamesWithoutHeader);
        }
        if let Some(column) = column {
            table.key_column = table.find(column)?;
        }
        if header == Header::Auto {
            let is_number = |cell: Option<&[u8]>| {
                cell.is_some_and(|c| number::parse(c.trim_ascii(), radix_of(Format::Csv)).is_ok())
            };
            // A word above a number is a name; anything else is a row like the others.
            table.has_header = matches!(column, Some(Column::Name(_)))
                || !is_number(table.first.get(table.key_column).map(Vec::as_slice))
                    && next(&mut rows)?.is_some_and(|row| is_number(row.get(table.key_column)));
        }
        Ok(table)
    }

    /// The index of a column that is chosen.
    pub(super) fn find(&self, column: &Column) -> Result<usize, InputError> {
        match column {
            Column::Number(number) if (1..=self.first.len()).contains(number) => Ok(number - 1),
            Column::Number(_) => Err(self.no_column(column)),
            Column::Name(name) => {
                let mut named = (0..self.first.len()).filter(|&i| self.first[i] == name.as_bytes());
                match (named.next(), named.next()) {
                    (Some(index), None) => Ok(index),
                    (Some(a), Some(b)) => Err(InputError::ColumnTwice {
                        name: quoted(name.as_bytes()),
                        numbers: (a + 1, b + 1),
                    }),
                    (None, _) => Err(self.no_column(column)),
                }
            }
        }
    }

    /// Hands over the cells of the keys.
    pub(super) fn keys(&self, sink: &mut Sink<'_>) -> Result<(), InputError> {
        self.cells(self.key_column, sink)
    }

    /// Hands over the cells of a column, without the header.
    pub(super) fn cells(&self, column: usize, sink: &mut Sink<'_>) -> Result<(), InputError> {
        let mut rows = reader(self.bytes);
        let mut row = ByteRecord::new();
        let mut skip = self.has_header;
        let mut last = (0, 0);
        while read(&mut rows, &mut row)? {
            last = self.start(&row);
            if std::mem::take(&mut skip) {
                continue;
            }
            let place = Place::Line(last.1);
            match row.get(column) {
                Some(cell) => sink(place, Token::Cell(cell))?,
                None => return Err(InputError::NoCell { place, column: column + 1, cells: row.len() }),
            }
        }
        let (offset, line) = last;
        // A quote that is never closed makes one cell of all that follows, which the reader lets pass.
        let row = self.bytes.get(offset..).unwrap_or_default().trim_ascii();
        let quotes = row.iter().filter(|&&b| b == b'"').count();
        if quotes % 2 == 1 && row.contains(&b'\n') {
            return Err(InputError::OpenQuote { place: Place::Line(line) });
        }
        Ok(())
    }

    /// Where a row begins: its offset and its line. The reader counts from the blank lines before it.
    fn start(&self, row: &ByteRecord) -> (usize, u64) {
        let Some(position) = row.position() else { return (0, 1) };
        let offset = position.byte() as usize;
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let blank = rest.iter().take_while(|&&b| b == b'\r' || b == b'\n').count();
        let lines = rest[..blank].iter().filter(|&&b| b == b'\n').count();
        (offset + blank, position.line() + lines as u64)
    }

    fn no_column(&self, wanted: &Column) -> InputError {
        let wanted = match wanted {
            Column::Name(name) => quoted(name.as_bytes()),
            Column::Number(number) => number.to_string(),
        };
        InputError::NoColumn { wanted, columns: self.first.iter().map(|c| quoted(c)).collect() }
    }
}

fn reader(bytes: &[u8]) -> Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes)
}

fn next(rows: &mut Reader<&[u8]>) -> Result<Option<ByteRecord>, InputError> {
    let mut row = ByteRecord::new();
    Ok(read(rows, &mut row)?.then_some(row))
}

/// Reads a row that is not just a blank line.
fn read(rows: &mut Reader<&[u8]>, row: &mut ByteRecord) -> Result<bool, InputError> {
    // Bytes in memory, rows of any length: there is no error left that the reader could give.
    rows.read_byte_record(row).map_err(|why| InputError::Csv { message: why.to_string() })
}
