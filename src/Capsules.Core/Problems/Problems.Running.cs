namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>A step of a launch failed.</summary>
    public static Problem LaunchFailed(string step, string fact) =>
        new("CAP5001", ExitCode.Failed, $"the launch stopped at: {step}", fact, "`capsule run --plan` shows all steps; `capsule doctor` tells what this host lacks");

    /// <summary>Engines know by these words that a program may not be executed (podman, getOCIRuntimeError: exit code 126).</summary>
    public const string NotPermitted = "permission denied (EACCES)";

    /// <summary>The program to be executed is not there. Engines know that by the words of its cause (podman, getOCIRuntimeError: exit code 127).</summary>
    public static Problem ProgramNotFound(string program) =>
        new("CAP5002", ExitCode.Failed, $"there is no program `{program}` inside", "executable file not found in $PATH: No such file or directory; or its interpreter is missing", "`capsule misses CAPSULE PATH` tells whether the source had it");

    /// <summary>The program to be executed may not be executed.</summary>
    public static Problem ProgramNotExecutable(string program, string fact) =>
        new("CAP5003", ExitCode.Failed, $"`{program}` cannot be executed", fact, "look at its mode and format inside the capsule");

    /// <summary>The bundle's configuration cannot be followed.</summary>
    public static Problem BadBundle(string bundle, string why) => new("CAP5004", ExitCode.Failed, $"the bundle {bundle} cannot be run", why, "correct its config.json");

    /// <summary>A container of that id exists already.</summary>
    public static Problem ContainerExists(string id) => new("CAP5005", ExitCode.Conflict, $"there is a container `{id}` already", null, $"`capsule oci delete {id}`, or choose another id");

    /// <summary>No container of that id.</summary>
    public static Problem NoSuchContainer(string id) => new("CAP5006", ExitCode.NotFound, $"there is no container `{id}`", null, "`capsule oci list` lists them");

    /// <summary>The container is not in the state that the verb needs.</summary>
    public static Problem WrongContainerState(string id, string state, string verb) =>
        new("CAP5007", ExitCode.Conflict, $"container `{id}` is {state}; `{verb}` cannot be done to it", null, "`capsule oci state` shows it");

    /// <summary>An id that could be read as a path.</summary>
    public static Problem BadContainerId(string id) => new("CAP5008", ExitCode.Usage, $"`{id}` cannot be a container's id", null, "use letters, digits and any of _ + - . (not first), at most 1024 characters");

    /// <summary>The capsule runs.</summary>
    public static Problem AlreadyRunning(string name) => new("CAP5009", ExitCode.Conflict, $"`{name}` runs already", null, $"`capsule stop {name}` first, or `capsule run IMAGE --name OTHER` for a second one");

    /// <summary>The capsule does not run.</summary>
    public static Problem NotRunning(string name) => new("CAP5010", ExitCode.Conflict, $"`{name}` does not run", null, $"`capsule start {name}`");

    /// <summary>A service did not come up.</summary>
    public static Problem ServiceFailed(string service, string why, string capsule) =>
        new("CAP5011", ExitCode.Failed, $"service `{service}` did not come up", why, $"`capsule logs {capsule} --service {service}` shows what it wrote");

    /// <summary>A user that the capsule's files do not know.</summary>
    public static Problem NoSuchUser(string user, string file) => new("CAP5012", ExitCode.Failed, $"there is no `{user}` in the capsule's {file}", null, "use a number, or correct the manifest");

    /// <summary>A limit or signal that is none.</summary>
    public static Problem BadValue(string what, string value, string expected) => new("CAP5013", ExitCode.Usage, $"`{value}` is no {what}", null, expected);

    /// <summary>The name is taken.</summary>
    public static Problem NameTaken(string name) => new("CAP5014", ExitCode.Conflict, $"there is a capsule `{name}` already", null, $"choose another name, or `capsule rm {name}`");

    /// <summary>A path that cannot become state.</summary>
    public static Problem BadStatePath(string path, string why) => new("CAP5015", ExitCode.Conflict, $"{path} cannot be made state", why, "name a directory of the capsule that no other volume holds");

    /// <summary>A number that an option does not take.</summary>
    public static Problem ValueOutside(string option, string value, string why, string fix) => new("CAP5016", ExitCode.Usage, $"{option} {value} is out of range", why, fix);

    /// <summary>A start that somebody ended before it was done.</summary>
    public static Problem StartEnded(string name, string by) => new("CAP5017", ExitCode.Conflict, $"the start of `{name}` was ended", by, $"`capsule start {name}` starts it again");

    /// <summary>A hook of a bundle failed.</summary>
    public static Problem HookFailed(string point, string path, string why) => new("CAP5018", ExitCode.Failed, $"the {point} hook {path} failed", why, "correct the hook, or take it out of the bundle's config.json; an engine's own configuration may have put it there");

    /// <summary>A control group that is somebody else's.</summary>
    public static Problem GroupNotOurs(string group, string why) => new("CAP5019", ExitCode.Conflict, $"{group} cannot be the control group of a container", why, "name a group of its own in linux.cgroupsPath, or end what runs in it");

    /// <summary>A volume that others see is about to go.</summary>
    public static Problem VolumeIsShared(string capsule, string others) =>
        new("CAP5020", ExitCode.Conflict, $"`{capsule}` owns state that {others} sees as well", "they were adopted as one stack, and have one directory for both", $"remove {others} first, or all together: `capsule stack rm`");

    /// <summary>A volume of another capsule that is gone.</summary>
    public static Problem SharedVolumeGone(string capsule, string owner, string volume) =>
        new("CAP5021", ExitCode.Failed, $"`{capsule}` cannot start: the volume {volume} of `{owner}`, which both see, is not there", null, $"adopt `{owner}` again in the same stack, or bring the directory back from kept/{owner}");

    /// <summary>A volume of kind image without its file.</summary>
    public static Problem VolumeImageMissing(string capsule, string volume, string file) =>
        new("CAP5022", ExitCode.Failed, $"`{capsule}` cannot start: the image of its volume `{volume}` is not there", $"{file} is no file", $"make one: `truncate -s SIZE {file} && mkfs.ext4 {file}`, or bring it back from a backup");

    /// <summary>A volume of kind image that a guest has held.</summary>
    public static Problem VolumeNotChecked(string capsule, string volume, string file, string mark) =>
        new("CAP5023", ExitCode.Conflict, $"`{capsule}` cannot start: a guest has held the image of its volume `{volume}`, and it was not checked since",
            "this host's kernel would trust a file system that another system wrote", $"e2fsck -f {file} && rm {mark}");
}
