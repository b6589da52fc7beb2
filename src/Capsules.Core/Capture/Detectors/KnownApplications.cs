using System.Collections.Immutable;

namespace Capsules.Core.Capture.Detectors;

/// <summary>What is worth knowing of an application that no general rule finds out.</summary>
/// <param name="Name">How people call it.</param>
/// <param name="Units">Its units, without type and instance.</param>
/// <param name="Executables">Names of its main program, without directory.</param>
public sealed record KnownApplication(string Name, ImmutableArray<string> Units, ImmutableArray<string> Executables)
{
    /// <summary>Words of a command line with which it goes into the background, and the words that keep it in front.</summary>
    public (ImmutableArray<string> Background, ImmutableArray<string> Foreground)? Command { get; init; }
    /// <summary>Names above that others have as well: they count only with a sign of the application itself.</summary>
    public ImmutableArray<string> Ambiguous { get; init; } = [];
    /// <summary>Such signs: a package that owns the program, a library that it needs (by the beginning of its name), a text in it.</summary>
    public (ImmutableArray<string> Packages, ImmutableArray<string> Libraries, ImmutableArray<string> Texts) Signs { get; init; } = ([], [], []);
    /// <summary>Where it leaves its pid when its unit does not say.</summary>
    public string? PidFile { get; init; }
    /// <summary>Runs programs that it finds among its content (PHP, CGI): content may name further places, and may start a shell.</summary>
    public bool RunsContent { get; init; }
    /// <summary>Says READY=1 on NOTIFY_SOCKET when it runs in front, whatever starts it: its port answers before it is up (a recovering database).</summary>
    public bool Notifies { get; init; }
    /// <summary>Configuration that it reads by names of its own, where it is in nobody's package (Debian's ucf makes such files).</summary>
    public ImmutableArray<string> Configuration { get; init; } = [];
    /// <summary>Words that make it stop orderly, when its unit does not say: a signal's number.</summary>
    public int? StopSignal { get; init; }
}

/// <summary>Instances of a template that a generator of the package makes at boot: one for each directory of two levels with a marker, or one of a fixed name when the directory itself has it.</summary>
public sealed record KnownInstances(string Template, string Directory, string Marker)
{
    /// <summary>The fixed name; null when the directories name instances.</summary>
    public string? Instance { get; init; }
    /// <summary>How an instance runs when nobody is there to see it, in place of the unit's script; %1 and %2 are the two directories' names.</summary>
    public ImmutableArray<string> Command { get; init; } = [];
    /// <summary>Its user.</summary>
    public string? User { get; init; }

    /// <summary>The command of an instance ("15-main"); null when its name has another form.</summary>
    public ImmutableArray<string>? CommandOf(string instance)
    {
        if (Instance is not null) return instance == Instance ? Command : null;
        int dash = instance.IndexOf('-', StringComparison.Ordinal);
        return Command.IsEmpty || dash <= 0 ? null : [.. Command.Select(w => w.Replace("%1", instance[..dash], StringComparison.Ordinal).Replace("%2", instance[(dash + 1)..], StringComparison.Ordinal))];
    }
}

/// <summary>Rows for known applications; one that has no row works by the general rules.</summary>
public static class KnownApplications
{
    /// <summary>All rows.</summary>
    public static ImmutableArray<KnownApplication> All { get; } =
    [
        new("nginx", ["nginx"], ["nginx"]) { PidFile = "/run/nginx.pid", StopSignal = 3 },
        new("apache", ["apache2", "httpd"], ["apache2", "httpd"])
        {
            Ambiguous = ["httpd"], Signs = (["apache2", "apache2-bin", "httpd", "httpd-core"], ["libapr-", "libaprutil-"], ["Apache/"]), Command = (["-k", "start"], ["-DFOREGROUND"]), PidFile = "/run/apache2/apache2.pid", RunsContent = true, StopSignal = 28,
        },
        new("php-fpm", [], []) { RunsContent = true, StopSignal = 3 },
        new("postgresql", ["postgresql"], ["postgres"]) { StopSignal = 2, Notifies = true },
        new("redis", ["redis-server", "redis"], ["redis-server"]),
        new("memcached", ["memcached"], ["memcached"]),
        new("ssh", ["ssh", "sshd"], ["sshd"]) { Configuration = ["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d", "/etc/ssh/moduli"] },
        new("mariadb", ["mariadb", "mysql"], ["mariadbd", "mysqld"]),
    ];

    /// <summary>Instances by directories.</summary>
    public static ImmutableArray<KnownInstances> Instances { get; } =
    [
        new("postgresql@", "/etc/postgresql", "postgresql.conf")
        {
            Command = ["/usr/lib/postgresql/%1/bin/postgres", "-D", "/var/lib/postgresql/%1/%2", "-c", "config_file=/etc/postgresql/%1/%2/postgresql.conf"], User = "postgres",
        },
        new("postfix@", "/etc/postfix", "main.cf") { Instance = "-", Command = ["/usr/sbin/postfix", "start-fg"] },
    ];

    /// <summary>The row and command for an instance of a template; null when there is none.</summary>
    public static (KnownInstances Row, ImmutableArray<string> Command)? FindInstance(string prefix, string? instance)
    {
        foreach (KnownInstances row in Instances)
            if (instance is { Length: > 0 } && row.Template == prefix + "@" && row.CommandOf(instance) is { } command) return (row, command);
        return null;
    }

    /// <summary>The row for a unit (bare name, such as php8.2-fpm) or an executable's name.</summary>
    /// <param name="unit">The unit.</param>
    /// <param name="executable">The program's name, without directory.</param>
    /// <param name="hasSign">Whether the program bears a sign of a row; asked where a name alone says too little.</param>
    public static KnownApplication? Find(string? unit, string? executable, Func<KnownApplication, bool> hasSign)
    {
        foreach (KnownApplication row in All)
        {
            string? name = unit is not null && row.Units.Contains(unit) ? unit : executable is not null && row.Executables.Contains(executable) ? executable : null;
            if (name is not null && (!row.Ambiguous.Contains(name) || executable is null || hasSign(row))) return row;
        }
        bool isFpm = unit is not null && unit.StartsWith("php", StringComparison.Ordinal) && unit.EndsWith("-fpm", StringComparison.Ordinal)
            || executable is not null && executable.StartsWith("php-fpm", StringComparison.Ordinal);
        return isFpm ? All.First(row => row.Name == "php-fpm") : null;
    }
}
