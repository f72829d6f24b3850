//! Parquet files of plain columns, written row group by row group.
//!
//! What LeRobot's files hold is narrow: values, lists of values of one length, and encoded pictures; none of them is ever missing. So a row group is
//! its values one after the other, and the levels by which Parquet tells rows apart follow from the shape of the column.

use crate::DatasetError;
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type, TypePtr};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The values of a column in a row group, row after row.
#[derive(Debug, Clone)]
pub enum Values {
    /// Truth values.
    Bool(Vec<bool>),
    /// Whole numbers.
    I64(Vec<i64>),
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
    /// Texts.
    Text(Vec<ByteArray>),
    /// Encoded pictures: a structure of `bytes` and an empty `path`, which is what Hugging Face's `Image` reads.
    Image(Vec<ByteArray>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Bool(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::Text(v) | Self::Image(v) => v.len(),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Bool(v) => v.clear(),
            Self::I64(v) => v.clear(),
            Self::F32(v) => v.clear(),
            Self::F64(v) => v.clear(),
            Self::Text(v) | Self::Image(v) => v.clear(),
        }
    }
}

/// How the values of a row lie in lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One value a row.
    One,
    /// A list of values a row.
    List,
    /// A list of lists of one-element lists, as LeRobot keeps the statistics of a picture's colours.
    Colours,
}

/// A column: its name, its shape and the values of the row group that is being filled.
#[derive(Debug, Clone)]
pub struct Column {
    /// Name.
    pub name: String,
    /// How values lie in lists.
    pub shape: Shape,
    /// Values so far.
    pub values: Values,
    /// Lengths of the lists so far; only of [`Shape::List`].
    pub lengths: Vec<usize>,
}

impl Column {
    /// Without values yet.
    pub fn new(name: impl Into<String>, shape: Shape, values: Values) -> Self {
        Self { name: name.into(), shape, values, lengths: Vec::new() }
    }

    fn schema(&self) -> Result<TypePtr, ParquetError> {
        let leaf = |name: &str| -> Result<TypePtr, ParquetError> {
            let (physical, text) = match self.values {
                Values::Bool(_) => (Physical::BOOLEAN, false),
                Values::I64(_) => (Physical::INT64, false),
                Values::F32(_) => (Physical::FLOAT, false),
                Values::F64(_) => (Physical::DOUBLE, false),
                Values::Text(_) => (Physical::BYTE_ARRAY, true),
                Values::Image(_) => (Physical::BYTE_ARRAY, false),
            };
            primitive(name, physical, text)
        };
        let list = |name: &str, of: TypePtr| -> Result<TypePtr, ParquetError> {
            let inner = Type::group_type_builder("list").with_repetition(Repetition::REPEATED).with_fields(vec![of]);
            let outer = Type::group_type_builder(name)
                .with_repetition(Repetition::OPTIONAL)
                .with_converted_type(ConvertedType::LIST)
                .with_logical_type(Some(LogicalType::List))
                .with_fields(vec![Arc::new(inner.build()?)]);
            Ok(Arc::new(outer.build()?))
        };
        match (&self.values, self.shape) {
            (Values::Image(_), _) => {
                let fields = vec![leaf("bytes")?, primitive("path", Physical::BYTE_ARRAY, true)?];
                let group = Type::group_type_builder(&self.name).with_repetition(Repetition::OPTIONAL);
                Ok(Arc::new(group.with_fields(fields).build()?))
            }
            (_, Shape::One) => leaf(&self.name),
            (_, Shape::List) => list(&self.name, leaf("element")?),
            (_, Shape::Colours) => list(&self.name, list("element", list("element", leaf("element")?)?)?),
        }
    }

    /// Definition and repetition levels of the values.
    fn levels(&self) -> (Vec<i16>, Option<Vec<i16>>) {
        let count = self.values.len();
        match (&self.values, self.shape) {
            (Values::Image(_), _) => (vec![2; count], None),
            (_, Shape::One) => (vec![1; count], None),
            (_, Shape::List) => {
                let starts = self.lengths.iter().flat_map(|length| (0..*length).map(|i| i16::from(i > 0)));
                (vec![3; count], Some(starts.collect()))
            }
            // Three lists of one list of one value: within a row it is the outermost list that goes on.
            (_, Shape::Colours) => (vec![7; count], Some((0..count).map(|i| i16::from(i % 3 > 0)).collect())),
        }
    }
}

fn primitive(name: &str, physical: Physical, text: bool) -> Result<TypePtr, ParquetError> {
    let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    let builder = if text {
        builder.with_converted_type(ConvertedType::UTF8).with_logical_type(Some(LogicalType::String))
    } else {
        builder
    };
    Ok(Arc::new(builder.build()?))
}

/// A Parquet file being written.
pub struct TableWriter {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TableWriter {
    /// A new file with such columns, and the folders above it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: impl Into<PathBuf>, columns: &[Column]) -> Result<Self, DatasetError> {
        let path = path.into();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(DatasetError::io(folder))?;
        }
        let file = File::create(&path).map_err(DatasetError::io(&path))?;
        let mut properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        for column in columns.iter().filter(|column| matches!(column.values, Values::Image(_))) {
            // Pictures are compressed already and never repeat.
            let bytes = ColumnPath::new(vec![column.name.clone(), "bytes".into()]);
            properties = properties
                .set_column_compression(bytes.clone(), Compression::UNCOMPRESSED)
                .set_column_statistics_enabled(bytes.clone(), EnabledStatistics::None)
                .set_column_dictionary_enabled(bytes, false);
        }
        let writer = columns
            .iter()
            .map(Column::schema)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|fields| Type::group_type_builder("schema").with_fields(fields).build())
            .and_then(|schema| SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build())))
            .map_err(|source| DatasetError::Parquet { path: path.clone(), source })?;
        Ok(Self { path, writer })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// Writes what the columns hold as a row group, and empties them. All hold equally many rows.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self, columns: &mut [Column]) -> Result<(), DatasetError> {
        self.row_group(columns).map_err(|source| DatasetError::Parquet { path: self.path.clone(), source })?;
        for column in columns {
            column.values.clear();
            column.lengths.clear();
        }
        Ok(())
    }

    fn row_group(&mut self, columns: &[Column]) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for column in columns {
            let (definition, repetition) = column.levels();
            let repetition = repetition.as_deref();
            let wrong = || ParquetError::General(format!("column '{}' is not of its own type", column.name));
            let mut leaf = group.next_column()?.ok_or_else(wrong)?;
            match (&column.values, leaf.untyped()) {
                (Values::Bool(v), ColumnWriter::BoolColumnWriter(w)) => w.write_batch(v, Some(&definition), repetition),
                (Values::I64(v), ColumnWriter::Int64ColumnWriter(w)) => w.write_batch(v, Some(&definition), repetition),
                (Values::F32(v), ColumnWriter::FloatColumnWriter(w)) => w.write_batch(v, Some(&definition), repetition),
                (Values::F64(v), ColumnWriter::DoubleColumnWriter(w)) => {
                    w.write_batch(v, Some(&definition), repetition)
                }
                (Values::Text(v) | Values::Image(v), ColumnWriter::ByteArrayColumnWriter(w)) => {
                    w.write_batch(v, Some(&definition), repetition)
                }
                _ => Err(wrong()),
            }?;
            leaf.close()?;
            if matches!(column.values, Values::Image(_)) {
                let mut path = group.next_column()?.ok_or_else(wrong)?;
                let ColumnWriter::ByteArrayColumnWriter(w) = path.untyped() else { return Err(wrong()) };
                w.write_batch(&[], Some(&vec![1; definition.len()]), None)?;
                path.close()?;
            }
        }
        group.close()?;
        Ok(())
    }

    /// Completes the file, with a note for those who read it (`pandas`, `huggingface`).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, note: Option<(&str, String)>) -> Result<(), DatasetError> {
        if let Some((key, value)) = note {
            self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        self.writer.close().map(drop).map_err(|source| DatasetError::Parquet { path: self.path, source })
    }
}
