namespace Capsules.Core.Problems;

/// <summary>Problems of links between capsules.</summary>
public static partial class Problems
{
    /// <summary>The owner offers nothing of that name.</summary>
    public static Problem NotOffered(string owner, string export, IEnumerable<string> offered) =>
        new("CAP4101", ExitCode.NotFound, $"{owner} offers nothing called `{export}`", string.Join(", ", offered) is { Length: > 0 } names ? $"it offers: {names}" : "it offers nothing", $"capsule share add {owner}/{export} --path DIR");

    /// <summary>Something of that name is offered already.</summary>
    public static Problem AlreadyOffered(string owner, string export) =>
        new("CAP4102", ExitCode.Conflict, $"{owner} offers `{export}` already", null, $"capsule share rm {owner}/{export}, or another name");

    /// <summary>The other end of a link is not on this host.</summary>
    public static Problem OwnerNotHere(string capsule, string owner) =>
        new("CAP4103", ExitCode.NotFound, $"{capsule} uses {owner}, and there is no capsule `{owner}` on this host", "a link shows the same files and sockets, which only one kernel can", $"bring {owner} here (capsule import), or capsule link rm {capsule} {owner}");

    /// <summary>The link is there.</summary>
    public static Problem AlreadyLinked(string capsule, string import) => new("CAP4104", ExitCode.Conflict, $"{capsule} is linked to {import} already", null, $"capsule link rm {capsule} {import}");

    /// <summary>The link is not there.</summary>
    public static Problem NotLinked(string capsule, string import) => new("CAP4105", ExitCode.NotFound, $"{capsule} is not linked to {import}", null, $"capsule link list {capsule}");

    /// <summary>More is asked for than is offered.</summary>
    public static Problem MoreThanOffered(string import, string what, string offered) =>
        new("CAP4106", ExitCode.NotPermitted, $"{import} does not allow {what}", $"it offers {offered}", "ask for less, or let the owner offer more (capsule share rm, share add)");

    /// <summary>An owner that must be up is not.</summary>
    public static Problem OwnerDown(string capsule, string owner, string why) =>
        new("CAP4107", ExitCode.Failed, $"{capsule} needs {owner}, which is not up", why, $"capsule start {owner}");

    /// <summary>A name that is shared is not there.</summary>
    public static Problem NoSuchAccount(string capsule, string name, string kind) =>
        new("CAP4108", ExitCode.NotFound, $"{capsule} has no {kind} `{name}`", "its own passwd and group files do not have it", $"name one that is there: capsule link add … --as HERE=THERE");

    /// <summary>Others use it.</summary>
    public static Problem StillLinked(string owner, string users) =>
        new("CAP4109", ExitCode.Conflict, $"{owner} is used by {users}", null, $"capsule link rm first: {users}");

    /// <summary>A step for links failed without a problem of its own.</summary>
    public static Problem LinkStepFailed(string step, string capsule, string said) =>
        new("CAP4110", ExitCode.Failed, $"the links of {capsule} could not be brought into place ({step})", said, "capsule link list, capsule doctor");

    /// <summary>What an export names is not there, or cannot be shown.</summary>
    public static Problem CannotShow(string import, string path, string why) => new("CAP4111", ExitCode.Failed, $"{path} of {import} cannot be shown", why, null);

    /// <summary>Two owners for one user.</summary>
    public static Problem TwoOwners(string capsule, string kind, string name, string first, string second) =>
        new("CAP4112", ExitCode.Conflict, $"the {kind} `{name}` of {capsule} cannot be one of {first} and one of {second} at once", "the kernel knows a user by one number", $"let another {kind} of {capsule} use {second}");

    /// <summary>A path that no link may cover.</summary>
    public static Problem NotSharable(string path, string why) => new("CAP4113", ExitCode.Usage, $"{path} cannot be offered to others", why, "offer a directory of the application's own state, of its sockets, or of its programs");

    /// <summary>Capsules would wait for each other.</summary>
    public static Problem LinkCircle(string capsule, string circle) =>
        new("CAP4114", ExitCode.Conflict, $"{capsule} would need itself to be up before it starts", circle, "use --when-down want, wait or degrade for one of these links");

    /// <summary>Users of a realm share numbers.</summary>
    public static Problem OnlyByNumber(string capsule, string what) =>
        new("CAP4115", ExitCode.NotPermitted, $"{capsule}: {what} cannot be shared without root", "all capsules of a user have the same numbers of users; the kernel lets him map no others", "give both the same number, or run both as root");

    /// <summary>Nothing that could be linked.</summary>
    public static Problem NothingRelated(string stack, string why) =>
        new("CAP4117", ExitCode.NotFound, $"nothing is to be linked to `{stack}`", why, $"name the capsules: capsule stack link {stack} CAPSULE CAPSULE");

    /// <summary>Somebody else is at work on the owner, perhaps waiting for us.</summary>
    public static Problem OwnerBusy(string owner) =>
        new("CAP4118", ExitCode.HeldElsewhere, $"`{owner}` is being started, stopped or changed by another command", "it did not end within 15 s, or waits for the capsule of this command", "try again when it has ended");

    /// <summary>A private directory has nothing to lie on.</summary>
    public static Problem NoPlaceForPrivate(string capsule, string owner, string path, string why) =>
        new("CAP4175", ExitCode.NotFound, $"{path} cannot be {capsule}'s own: {owner} has no such directory", $"{why}; nothing is made in the state of another, and without it {capsule} would write to {owner}'s", $"capsule exec {owner} mkdir -p {path}");

    /// <summary>Who writes to what is copied could not be held still.</summary>
    public static Problem CannotFreeze(string writer, string why) =>
        new("CAP4177", ExitCode.Failed, $"{writer} could not be held still while its state was copied", why, $"nothing was made; capsule stop {writer}, or try again");

    /// <summary>Who writes came and went at every try.</summary>
    public static Problem ForkKeepsChanging(string import) =>
        new("CAP4178", ExitCode.Failed, $"{import} could not be copied: those who write to it were started and stopped at every try", null, "nothing was made; try again when they stay as they are");

    /// <summary>One link cannot take the place of the other.</summary>
    public static Problem NotSwappable(string capsule, string before, string after, string why) =>
        new("CAP4116", ExitCode.Conflict, $"{capsule}: {after} cannot take the place of {before}", why, $"capsule link rm {capsule} {before}, then capsule link add {capsule} {after}");
}

/// <summary>Warnings of links.</summary>
public static partial class Warnings
{
    /// <summary>New shared users come with the next start.</summary>
    public static Warning UsersComeLater(string capsule, string names) =>
        new("CAP4120", $"{capsule} runs: its users {names} count as the owner's from its next start on; until then they see the files as others do", $"capsule restart {capsule}");

    /// <summary>The capsules of a stack that is as one machine number their processes each for itself, for now or always.</summary>
    public static Warning ProcessesOwn(string stack, string why, string? fix) =>
        new("CAP4180", $"each capsule of the stack {stack} still numbers its own processes: {why}", fix);

    /// <summary>Files of a copy whose owner the capsule does not know.</summary>
    public static Warning ForkKeepsNumber(string capsule, string kind, string option, IEnumerable<string> who) =>
        new("CAP4176", $"files of the {kind} {string.Join(" and ", who)} keep that number in the copy: {capsule} has no {kind} of that name", $"link rm --volumes, then link add --fork {option} HERE=THERE");

    /// <summary>A link waits for its owner.</summary>
    public static Warning LinkWaits(string capsule, string import, string why) => new("CAP4121", $"{capsule} runs without {import}: {why}", null);
}
