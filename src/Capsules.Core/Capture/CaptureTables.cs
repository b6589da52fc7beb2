using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>The rules of a capture that are lists: what is always taken, never taken, too wide, shared or secret.</summary>
public static class CaptureTables
{
    /// <summary>Packages that every capsule gets when the source has them: the C library, time zones, certificates, names. Captures by tracing miss these.</summary>
    public static ImmutableArray<string> AlwaysPackages { get; } =
        ["base-files", "libc6", "libc-bin", "libc-gconv-modules-extra", "dash", "netbase", "tzdata", "tzdata-legacy", "ca-certificates", "locales", "media-types", "mime-support", "ncurses-base", "libnss-systemd", "libnss-myhostname", "libnss-resolve", "libnss-ldapd", "libnss-sss", "libnss-mdns",
            "filesystem", "setup", "glibc", "glibc-common", "glibc-gconv-extra", "glibc-minimal-langpack", "bash", "nss-altfiles"];

    /// <summary>Packages that are needed to install and configure, not to run.</summary>
    public static ImmutableHashSet<string> InstallationOnly { get; } =
        ["dpkg", "debconf", "debconf-2.0", "cdebconf", "ucf", "adduser", "init-system-helpers", "install-info", "apt", "debian-archive-keyring", "apt-utils", "systemd", "systemd-sysv", "sysvinit-core", "runit", "openrc", "udev", "logrotate", "cron", "anacron", "lsb-release", "base-passwd", "perl-openssl-defaults"];

    /// <summary>Directories left out of packages: for people who read on the machine, not for programs.</summary>
    public static ImmutableArray<GuestPath> Documentation { get; } = Paths("/usr/share/doc", "/usr/share/man", "/usr/share/info", "/usr/share/doc-base", "/usr/share/lintian", "/usr/share/bug", "/usr/share/gtk-doc", "/usr/share/linda", "/usr/share/reportbug");

    /// <summary>Sources from which locales are compiled, and what compilers and linkers read: left out of packages when no compiler is taken.</summary>
    public static ImmutableArray<GuestPath> Development { get; } = Paths("/usr/share/i18n", "/usr/include", "/usr/lib/debug", "/usr/share/pkgconfig", "/usr/lib/pkgconfig", "/usr/lib/x86_64-linux-gnu/pkgconfig", "/usr/lib/aarch64-linux-gnu/pkgconfig", "/usr/share/aclocal", "/usr/share/cmake");

    /// <summary>As <see cref="Development"/> and <see cref="Documentation"/>: ends of names, wherever the file is below /usr.</summary>
    public static ImmutableArray<string> DevelopmentNames { get; } = [".a", ".la", ".h", ".hpp", ".pc", ".pod"];

    /// <summary>Programs that read <see cref="Development"/>.</summary>
    public static ImmutableArray<GuestPath> Compilers { get; } = Paths("/usr/bin/cc", "/usr/bin/gcc", "/usr/bin/clang", "/usr/bin/tcc", "/usr/bin/c++", "/usr/bin/cpp", "/usr/bin/ld");

    /// <summary>Files and directories of no package, or of one that is not taken, that programs read without any dependency saying so.</summary>
    public static ImmutableArray<GuestPath> AlwaysPaths { get; } = Paths(
        "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/nsswitch.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone",
        "/etc/services", "/etc/protocols", "/etc/networks", "/etc/rpc", "/etc/os-release", "/etc/debian_version", "/etc/redhat-release", "/etc/environment", "/etc/default/locale", "/etc/locale.conf", "/etc/locale.alias", "/etc/mime.types",
        "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/usr/lib/ssl", "/etc/pki/tls", "/etc/pki/ca-trust", "/etc/crypto-policies", "/etc/ca-certificates.conf", "/etc/profile", "/etc/bash.bashrc", "/etc/inputrc", "/etc/shells", "/etc/login.defs", "/etc/aliases", "/etc/aliases.db",
        "/usr/lib/locale", "/usr/share/zoneinfo", "/usr/lib/os-release", "/usr/local/share/ca-certificates", "/bin/sh", "/usr/lib/x86_64-linux-gnu/gconv", "/usr/lib/aarch64-linux-gnu/gconv", "/usr/lib64/gconv", "/etc/subuid", "/etc/subgid");

    /// <summary>Directories that exist everywhere; programs look for them.</summary>
    public static ImmutableArray<GuestPath> Skeleton { get; } = Paths(
        "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32", "/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib", "/usr/share", "/etc", "/var", "/var/lib", "/var/log", "/var/cache",
        "/var/spool", "/var/tmp", "/var/run", "/var/lock", "/var/mail", "/var/opt", "/dev", "/proc", "/sys", "/run", "/tmp", "/root", "/home", "/mnt", "/media", "/srv", "/opt", "/boot");

    /// <summary>Directories that belong to no single application: never taken whole, never made a volume.</summary>
    public static ImmutableHashSet<GuestPath> TooWide { get; } = [.. Skeleton, GuestPath.Root, .. Paths(
        "/usr/include", "/usr/src", "/usr/libexec", "/usr/lib64", "/usr/lib32", "/usr/local/share", "/usr/local/etc", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/var/lib/dpkg", "/var/lib/apt", "/var/lib/systemd", "/var/lib/misc",
        "/var/lib/private", "/var/cache/apt", "/var/log/apt", "/var/log/private", "/var/log/journal", "/var/spool/cron", "/etc/ssl", "/etc/default", "/etc/init.d", "/run/lock", "/run/systemd", "/run/user", "/lost+found")];

    /// <summary>Directories of /etc that packages share: of these only single files are an application's.</summary>
    public static ImmutableHashSet<GuestPath> SharedConfiguration { get; } = [GuestPath.Parse("/etc"), .. Paths(
        "/etc/init.d", "/etc/default", "/etc/logrotate.d", "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/cron.weekly", "/etc/cron.monthly", "/etc/systemd", "/etc/systemd/system", "/etc/pam.d", "/etc/security", "/etc/ssl", "/etc/ssl/private",
        "/etc/alternatives", "/etc/profile.d", "/etc/bash_completion.d", "/etc/apt", "/etc/apt/apt.conf.d", "/etc/dpkg", "/etc/sysctl.d", "/etc/udev", "/etc/udev/rules.d", "/etc/rc0.d", "/etc/rc1.d", "/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d",
        "/etc/rc6.d", "/etc/rcS.d", "/etc/insserv", "/etc/insserv.conf.d", "/etc/ufw", "/etc/ufw/applications.d", "/etc/apparmor.d", "/etc/modules-load.d", "/etc/tmpfiles.d", "/etc/skel", "/etc/X11", "/etc/xdg", "/etc/opt", "/etc/sysconfig", "/etc/kernel",
        "/etc/sudoers.d", "/etc/network", "/etc/ssh", "/etc/initramfs-tools", "/etc/ca-certificates", "/etc/ld.so.conf.d", "/etc/selinux", "/etc/binfmt.d", "/etc/update-motd.d", "/etc/apparmor", "/etc/apparmor.d/local", "/etc/ppp", "/etc/dhcp")];

    /// <summary>What a server writes lives below these.</summary>
    public static ImmutableArray<GuestPath> StateParents { get; } = Paths("/var/lib", "/var/cache", "/var/log", "/var/spool", "/var/opt", "/var/mail", "/srv", "/var/local", "/var/games");

    /// <summary>Made anew at each start; nothing in there is copied.</summary>
    public static ImmutableArray<GuestPath> Volatile { get; } = Paths("/run", "/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/var/run", "/var/lock");

    /// <summary>Files that hold secrets whatever their content looks like.</summary>
    public static ImmutableHashSet<GuestPath> SecretPaths { get; } = [.. Paths("/etc/shadow", "/etc/gshadow", "/etc/krb5.keytab", "/etc/mysql/debian.cnf", "/etc/sasldb2")];

    /// <summary>Ends of names of files that hold secrets.</summary>
    public static ImmutableArray<string> SecretNames { get; } = [".htpasswd", ".pgpass", ".my.cnf", ".pass", ".passwd", ".password", ".secret", ".keytab", ".token", "htpasswd", "id_rsa", "id_ed25519", "id_ecdsa"];

    /// <summary>Interpreters by the beginning of their package's or program's name, with the trees that hold their modules when no package says so.</summary>
    public static ImmutableArray<(string Name, ImmutableArray<GuestPath> Modules)> Interpreters { get; } =
    [
        ("php", Paths("/usr/share/php", "/usr/local/lib/php")), ("libapache2-mod-php", Paths("/usr/share/php", "/usr/local/lib/php")),
        ("python3", Paths("/usr/local/lib/python3", "/usr/lib/python3/dist-packages", "/usr/lib/python3/site-packages")), ("perl", Paths("/usr/local/share/perl", "/usr/local/lib/x86_64-linux-gnu/perl")),
        ("ruby", Paths("/usr/local/lib/site_ruby", "/var/lib/gems")), ("nodejs", Paths("/usr/local/lib/node_modules", "/usr/lib/node_modules")), ("lua", Paths("/usr/local/share/lua", "/usr/local/lib/lua")),
        ("tcl", []), ("openjdk", []), ("guile", []),
    ];

    /// <summary>Programs that run programs of somebody's, by the beginning of their names.</summary>
    public static ImmutableArray<string> InterpreterPrograms { get; } = ["python", "perl", "ruby", "node", "java", "php", "lua", "tclsh", "guile", "mono", "dotnet", "beam.smp"];

    /// <summary>Places that belong to no single application, and are the state of one whose programs or configuration name them: where mail is delivered.</summary>
    public static ImmutableArray<GuestPath> Spools { get; } = Paths("/var/mail", "/var/spool/mail");

    /// <summary>What dpkg marks as essential, where rpm marks nothing: commands that scripts use.</summary>
    public static ImmutableArray<string> ShellPackages { get; } = ["bash", "coreutils", "coreutils-single", "coreutils-common", "findutils", "gawk", "grep", "gzip", "sed", "tar", "util-linux", "util-linux-core", "hostname", "which"];

    /// <summary>What comes along when a program asks PAM: its stack is generated and owned by no package.</summary>
    public static ImmutableArray<string> PamPackages { get; } = ["libpam-runtime", "libpam-modules", "libpam-modules-bin"];

    /// <summary>As <see cref="PamPackages"/>: the files.</summary>
    public static ImmutableArray<GuestPath> PamPaths { get; } = Paths("/etc/pam.d", "/etc/pam.conf", "/etc/security", "/etc/login.defs", "/etc/securetty");

    /// <summary>Commands that scripts use, for a source without a package database.</summary>
    public static ImmutableArray<GuestPath> ShellCommands { get; } = Paths(
        [.. ((string[])["bash", "cat", "chmod", "chown", "cp", "cut", "date", "dirname", "basename", "echo", "env", "expr", "false", "find", "grep", "head", "hostname", "id", "kill", "ln", "ls", "mkdir", "mktemp", "mv", "ps", "pwd", "readlink", "rm", "rmdir", "sed", "seq", "sleep",
            "sort", "stat", "tail", "tar", "tee", "test", "touch", "tr", "true", "uname", "uniq", "wc", "which", "whoami", "xargs"]).Select(name => "/usr/bin/" + name)]);

    /// <summary>Variables that the service manager of the source or a login set for its own ends.</summary>
    public static ImmutableHashSet<string> ForeignVariables { get; } =
        ["INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET", "MAINPID", "MANAGERPID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "SYSTEMD_EXEC_PID", "WATCHDOG_PID", "WATCHDOG_USEC", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "PIDFILE",
         "OLDPWD", "PWD", "SHLVL", "_", "TERM", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_AUTH_SOCK", "SUDO_USER", "SUDO_UID", "SUDO_GID", "SUDO_COMMAND", "XDG_SESSION_ID", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "LS_COLORS", "MAIL",
         "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY", "CREDENTIALS_DIRECTORY"];

    /// <summary>Units that belong to the machine, not to an application on it, by the beginning of their names.</summary>
    public static ImmutableArray<string> SystemUnits { get; } =
        ["systemd-", "getty", "console-", "serial-getty", "user@", "user-runtime", "dbus", "udev", "networking", "NetworkManager", "ifup", "keyboard-setup", "e2scrub", "apt-", "dpkg-", "fstrim", "logrotate", "man-db", "cron", "anacron", "rsyslog", "ssh", "rc-local",
         "emergency", "rescue", "quotaon", "initrd-", "modprobe@", "autovt", "container-getty", "ldconfig", "polkit", "wpa_supplicant", "chrony", "unattended-upgrades", "capsule"];

    private static ImmutableArray<GuestPath> Paths(params string[] paths) => [.. paths.Select(p => GuestPath.Parse(p))];
}
