using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Checking;

/// <summary>A database whose files belong to one server program.</summary>
/// <param name="Name">How people call it.</param>
/// <param name="Markers">Names of files or directories that only its data has; a star at the end stands for the rest.</param>
/// <param name="Programs">Its server programs.</param>
public sealed record DatabaseKind(string Name, ImmutableArray<string> Markers, ImmutableArray<string> Programs)
{
    /// <summary>The file that has the version of the data.</summary>
    public string? VersionFile { get; init; }
    /// <summary>Packages of its server, up to the version.</summary>
    public ImmutableArray<string> ServerPackages { get; init; } = [];
}

/// <summary>Directories between which a program renames files: they must not be parted by a link.</summary>
/// <param name="Program">The program.</param>
/// <param name="Parent">The directory that holds them; null for any.</param>
/// <param name="Names">Their names.</param>
public sealed record RenameFamily(string Program, GuestPath? Parent, ImmutableArray<string> Names);

/// <summary>The rules of a link check that are lists.</summary>
public static class LinkTables
{
    /// <summary>Databases. SQLite is none of them: its files are made for several programs, and their locks hold through a link.</summary>
    public static ImmutableArray<DatabaseKind> Databases { get; } =
    [
        new("PostgreSQL", ["PG_VERSION"], ["postgres"]) { VersionFile = "PG_VERSION", ServerPackages = ["postgresql-"] },
        new("MariaDB or MySQL", ["ibdata1", "aria_log_control", "mysql.ibd"], ["mariadbd", "mysqld"]) { VersionFile = "mariadb_upgrade_info", ServerPackages = ["mariadb-server-core", "mariadb-server", "mysql-server-core-8.0"] },
        new("OpenLDAP", ["data.mdb"], ["slapd"]),
        new("Redis", ["dump.rdb", "appendonlydir", "appendonly.aof"], ["redis-server", "valkey-server"]),
        new("MongoDB", ["WiredTiger", "WiredTiger.wt"], ["mongod"]),
        new("InfluxDB", ["influxd.bolt", "meta.db"], ["influxd"]),
        new("Prometheus", ["chunks_head"], ["prometheus"]),
        new("etcd", ["member"], ["etcd"]),
        new("RabbitMQ", ["mnesia", "schema.DAT"], ["rabbitmq-server", "beam.smp"]),
        new("a Berkeley DB", ["__db.001"], []),
    ];

    /// <summary>File systems of a capsule that are new at each start.</summary>
    public static ImmutableArray<GuestPath> NewAtEachStart { get; } = [.. ((string[])["/proc", "/sys", "/dev", "/tmp", "/run"]).Select(GuestPath.Parse)];

    /// <summary>Programs that make /dev/log and take what is logged there.</summary>
    public static ImmutableArray<string> Loggers { get; } = ["rsyslogd", "syslog-ng", "syslogd", "metalog", "socklog", "systemd-journald"];

    /// <summary>Programs that rename from one directory to another.</summary>
    public static ImmutableArray<RenameFamily> Renamers { get; } =
    [
        new("mail delivery (Maildir)", null, ["tmp", "new", "cur"]),
        new("postfix", GuestPath.Parse("/var/spool/postfix"), ["maildrop", "incoming", "active", "deferred", "hold", "corrupt", "bounce", "defer", "saved"]),
        new("exim4", GuestPath.Parse("/var/spool/exim4"), ["input", "msglog"]),
        new("dpkg", GuestPath.Parse("/var/lib/dpkg"), ["info", "updates", "triggers", "alternatives"]),
        new("apt", GuestPath.Parse("/var/cache/apt/archives"), ["partial"]),
        new("apt", GuestPath.Parse("/var/lib/apt/lists"), ["partial"]),
        new("cups", GuestPath.Parse("/var/spool/cups"), ["tmp"]),
    ];
}
