namespace Capsules.Core.Installing;

/// <summary>Programs that stand in for the service manager while an installer runs; they are shown over the throw-away capsule and never part of the result.</summary>
public static class InstallerScripts
{
    /// <summary>policy-rc.d (invoke-rc.d(8)): 101 is "action forbidden by policy".</summary>
    public const string PolicyRc = "#!/bin/sh\nexit 101\n";

    /// <summary>
    /// systemctl(1) without a service manager: what changes files (enable, disable, mask) is done, what would start or stop something is said and
    /// counted as done, questions are answered by files. Installers that call it go on, and the services are found by their units afterwards.
    /// </summary>
    public const string Systemctl = """
        #!/bin/sh
        # Stands in for systemctl(1) while an installer runs in a throw-away capsule.
        verb= units= now=
        for word; do
            case $word in
                --now) now=1 ;;
                -*) ;;
                *) if [ -z "$verb" ]; then verb=$word; else units="$units $word"; fi ;;
            esac
        done
        find_unit() {
            for d in /etc/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
                [ -e "$d/$1" ] && { echo "$d/$1"; return 0; }
            done
            return 1
        }
        full_name() { case $1 in */*) full_name "${1##*/}" ;; *.*) echo "$1" ;; *) echo "$1.service" ;; esac; }
        # The words of one key of [Install].
        install_words() {
            in=
            while IFS= read -r line || [ -n "$line" ]; do
                case $line in
                    "[Install]"*) in=1 ;;
                    "["*) in= ;;
                    "$2="*) [ -n "$in" ] && printf '%s ' "${line#*=}" ;;
                esac
            done <"$1"
        }
        link() { mkdir -p "${2%/*}" && ln -sf "$1" "$2"; }
        enable_unit() {
            case $1 in */*) [ -e "/etc/systemd/system/${1##*/}" ] || ln -sf "$1" "/etc/systemd/system/${1##*/}" ;; esac
            name=$(full_name "$1")
            case $name in *@*.*) base="${name%%@*}@.${name##*.}" ;; *) base=$name ;; esac
            unit=$(find_unit "$name" || find_unit "$base") || { echo "Failed to enable unit: Unit file $name does not exist." >&2; return 1; }
            for t in $(install_words "$unit" WantedBy); do link "$unit" "/etc/systemd/system/$t.wants/$name"; done
            for t in $(install_words "$unit" RequiredBy); do link "$unit" "/etc/systemd/system/$t.requires/$name"; done
            for t in $(install_words "$unit" Alias); do link "$unit" "/etc/systemd/system/$t"; done
        }
        disable_unit() {
            name=$(full_name "$1")
            for f in /etc/systemd/system/*.wants/"$name" /etc/systemd/system/*.requires/"$name"; do [ -L "$f" ] && rm -f "$f"; done
            return 0
        }
        status=0
        case $verb in
            enable|reenable) for u in $units; do enable_unit "$u" || status=1; done
                [ -n "$now" ] && echo "systemctl: not started while installing:$units" >&2 ;;
            disable) for u in $units; do disable_unit "$u"; done ;;
            mask) for u in $units; do link /dev/null "/etc/systemd/system/$(full_name "$u")"; done ;;
            unmask) for u in $units; do f=/etc/systemd/system/$(full_name "$u"); [ "$(readlink "$f" 2>/dev/null)" = /dev/null ] && rm -f "$f"; done ;;
            start|restart|reload|try-restart|reload-or-restart|try-reload-or-restart|condrestart|isolate) echo "systemctl: not started while installing:$units" >&2 ;;
            is-active|status) status=3; [ "$verb" = is-active ] && echo inactive ;;
            is-enabled) for u in $units; do
                    n=$(full_name "$u"); found=
                    for f in /etc/systemd/system/*.wants/"$n" /etc/systemd/system/*.requires/"$n"; do [ -L "$f" ] && found=1; done
                    if [ -n "$found" ]; then echo enabled; else echo disabled; status=1; fi
                done ;;
            cat) for u in $units; do f=$(find_unit "$(full_name "$u")") && cat "$f" || status=1; done ;;
            is-system-running) echo offline; status=1 ;;
            --version|"") echo "systemd 252 (not running: an installer is)" ;;
        esac
        exit $status

        """;
}
