using System.Buffers.Binary;
using System.Text;

namespace Capsules.Core.Formats.Rpm;

/// <summary>
/// Reads the rows of one table of an SQLite 3 database (sqlite.org/fileformat2.html): table b-trees with overflow pages, values as bytes.
/// No indexes, no views, no write-ahead log: what rpm keeps in its database is one table of blobs.
/// </summary>
public static class SqliteTable
{
    private const int LargestPayload = 64 << 20, DeepestTree = 20;

    /// <summary>The rows of a table, each the bytes of its columns (text and blobs; other kinds are empty).</summary>
    /// <exception cref="FormatException">It is no database, has no such table, or its pages lead astray.</exception>
    public static List<ReadOnlyMemory<byte>[]> Rows(ReadOnlyMemory<byte> file, string table)
    {
        if (!file.Span.StartsWith("SQLite format 3\0"u8) || file.Length < 100) throw new FormatException("not an SQLite database");
        int pageSize = BinaryPrimitives.ReadUInt16BigEndian(file.Span[16..]);
        if (pageSize == 1) pageSize = 65536;
        if (pageSize < 512 || (pageSize & (pageSize - 1)) != 0) throw new FormatException("SQLite: no such page size");
        var reader = new Reader(file, pageSize, pageSize - file.Span[20]);
        foreach (ReadOnlyMemory<byte>[] row in reader.Table(1))
            if (row.Length >= 4 && row[0].Span.SequenceEqual("table"u8) && Encoding.UTF8.GetString(row[1].Span) == table)
                return reader.Table(Integer(row[3].Span));
        throw new FormatException($"SQLite: no table {table}");
    }

    private static long Integer(ReadOnlySpan<byte> bytes)
    {
        long value = bytes.Length > 0 ? (sbyte)bytes[0] : 0;
        for (int i = 1; i < bytes.Length; i++) value = value << 8 | bytes[i];
        return value;
    }

    private sealed class Reader(ReadOnlyMemory<byte> file, int pageSize, int usable)
    {
        private readonly HashSet<long> _seen = [];

        public List<ReadOnlyMemory<byte>[]> Table(long root)
        {
            var rows = new List<ReadOnlyMemory<byte>[]>();
            _seen.Clear();
            Walk(root, rows, 0);
            return rows;
        }

        private ReadOnlyMemory<byte> Page(long number)
        {
            if (number < 1 || number > file.Length / pageSize) throw new FormatException($"SQLite: there is no page {number}");
            return file.Slice((int)((number - 1) * pageSize), pageSize);
        }

        private void Walk(long number, List<ReadOnlyMemory<byte>[]> rows, int depth)
        {
            if (depth > DeepestTree || !_seen.Add(number)) throw new FormatException("SQLite: the pages of a table go round in circles");
            ReadOnlyMemory<byte> page = Page(number);
            int at = number == 1 ? 100 : 0;
            int kind = page.Span[at], count = BinaryPrimitives.ReadUInt16BigEndian(page.Span[(at + 3)..]), cells = at + (kind == 5 ? 12 : 8);
            if (kind is not (5 or 13)) throw new FormatException($"SQLite: page {number} is none of a table");
            if (cells + count * 2 > pageSize) throw new FormatException("SQLite: more cells than fit in a page");
            for (int i = 0; i < count; i++)
            {
                int cell = BinaryPrimitives.ReadUInt16BigEndian(page.Span[(cells + i * 2)..]);
                if (kind == 5) Walk(BinaryPrimitives.ReadUInt32BigEndian(Part(page, cell, 4).Span), rows, depth + 1);
                else rows.Add(Record(Payload(page, cell)));
            }
            if (kind == 5) Walk(BinaryPrimitives.ReadUInt32BigEndian(page.Span[(at + 8)..]), rows, depth + 1);
        }

        private ReadOnlyMemory<byte> Payload(ReadOnlyMemory<byte> page, int at)
        {
            long length = Varint(page, ref at);
            Varint(page, ref at); // rowid
            if (length < 0 || length > LargestPayload) throw new FormatException("SQLite: a row is too long");
            int most = usable - 35;
            if (length <= most) return Part(page, at, (int)length);
            int least = (usable - 12) * 32 / 255 - 23;
            int local = least + (int)((length - least) % (usable - 4));
            if (local > most) local = least;
            byte[] whole = new byte[length];
            Part(page, at, local).Span.CopyTo(whole);
            long next = BinaryPrimitives.ReadUInt32BigEndian(Part(page, at + local, 4).Span);
            for (int done = local; done < length;)
            {
                ReadOnlyMemory<byte> more = Page(next);
                int take = (int)Math.Min(usable - 4, length - done);
                Part(more, 4, take).Span.CopyTo(whole.AsSpan(done));
                done += take;
                next = BinaryPrimitives.ReadUInt32BigEndian(more.Span);
            }
            return whole;
        }

        private static ReadOnlyMemory<byte>[] Record(ReadOnlyMemory<byte> record)
        {
            int at = 0;
            long header = Varint(record, ref at);
            if (header < at || header > record.Length) throw new FormatException("SQLite: a row's header is too long");
            var lengths = new List<int>();
            while (at < header)
            {
                long type = Varint(record, ref at);
                lengths.Add(type switch
                {
                    >= 1 and <= 4 => (int)type,
                    5 => 6,
                    6 or 7 => 8,
                    >= 12 => (int)Math.Min(int.MaxValue, (type - 12) / 2),
                    _ => 0,
                });
            }
            var columns = new ReadOnlyMemory<byte>[lengths.Count];
            int place = (int)header;
            for (int i = 0; i < columns.Length; i++)
            {
                columns[i] = Part(record, place, lengths[i]);
                place += lengths[i];
            }
            return columns;
        }

        private static ReadOnlyMemory<byte> Part(ReadOnlyMemory<byte> bytes, int at, int length) =>
            at >= 0 && length >= 0 && at <= bytes.Length - length ? bytes.Slice(at, length) : throw new FormatException("SQLite: a row leads outside of its page");

        private static long Varint(ReadOnlyMemory<byte> bytes, ref int at)
        {
            long value = 0;
            for (int i = 0; i < 9; i++)
            {
                if (at >= bytes.Length) throw new FormatException("SQLite: a number is cut off");
                byte b = bytes.Span[at++];
                if (i == 8) return value << 8 | b;
                value = value << 7 | (long)(b & 0x7F);
                if (b < 0x80) break;
            }
            return value;
        }
    }
}
